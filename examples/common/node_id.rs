use std::fmt;

/// One process of a node. If a node is killed and started again, its process is another run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NodeId {
    pub(crate) number: usize,
    pub(crate) run: u32,
}

impl NodeId {
    /// The name of the node, the same for all of its runs.
    pub(crate) fn name(self) -> String {
        format!("node-{}", self.number)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node-{}.{}", self.number, self.run)
    }
}
