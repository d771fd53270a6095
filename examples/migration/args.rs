//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Migrates the schema of an SQLite file from five processes at once, and checks that it happens once.
#[derive(Debug, Parser)]
#[command(name = "migration")]
pub(crate) struct Args {
    /// Let the first process kill itself in the middle of the migration
    #[arg(long)]
    pub(crate) crash: bool,

    #[command(subcommand)]
    node: Option<Part>,
}

#[derive(Debug, clap::Subcommand)]
enum Part {
    /// One of the processes; started by the example itself.
    #[command(hide = true)]
    Node(Node),
}

/// Who a process is, and where its files are.
#[derive(Debug, clap::Args)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// Whether it kills itself when the migration is half done.
    #[arg(long)]
    pub(crate) crash: bool,
}

impl Args {
    pub(crate) fn node(&self) -> Option<&Node> {
        self.node.as_ref().map(|Part::Node(node)| node)
    }
}
