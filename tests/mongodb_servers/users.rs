//! A server that asks who calls, its users and their roles.

use mongodb::{
    Client,
    bson::{Document, doc},
    options::{ClientOptions, Credential},
};

use crate::{standalone::Standalone, support::unique};

/// A standalone server with `--auth`.
pub(crate) struct Guarded {
    server: Standalone,
    admin: Client,
}

impl Guarded {
    pub(crate) async fn start() -> Self {
        // The fewest rounds that it takes: the driver is not optimized here, and needs a second for the
        // default number of them.
        let rounds = ["--setParameter", "scramIterationCount=5000"];
        let server = Standalone::start(&[&["--auth"], &rounds[..]].concat());
        let password = unique();
        // As long as there is no user, whoever calls from this host may make the first one.
        let stranger = Client::with_options(server.options()).unwrap();
        make_user(&stranger, "admin", &password, "root").await;
        let options = with_credential(server.options(), "admin", &password);
        let admin = Client::with_options(options).unwrap();
        Self { server, admin }
    }

    /// Options of a client that does not say who it is.
    pub(crate) fn stranger(&self) -> ClientOptions {
        self.server.options()
    }

    /// Options of a client that calls itself so.
    pub(crate) fn options(&self, user: &str, password: &str) -> ClientOptions {
        with_credential(self.server.options(), user, password)
    }

    pub(crate) async fn make_user(&self, user: &str, password: &str, role: &str) {
        make_user(&self.admin, user, password, role).await;
    }

    /// A role that allows just these on the collection of the leases.
    pub(crate) async fn make_role(&self, role: &str, actions: &[&str]) {
        let command = doc! { "createRole": role, "privileges": privileges(actions), "roles": [] };
        run(&self.admin, command).await;
    }

    /// The same for a role that is there.
    pub(crate) async fn change_role(&self, role: &str, actions: &[&str]) {
        let command = doc! { "updateRole": role, "privileges": privileges(actions) };
        run(&self.admin, command).await;
    }
}

fn with_credential(mut options: ClientOptions, user: &str, password: &str) -> ClientOptions {
    let credential = Credential::builder()
        .username(user.to_owned())
        .password(password.to_owned());
    options.credential = Some(credential.build());
    options
}

fn privileges(actions: &[&str]) -> Vec<Document> {
    let leases = doc! { "db": "tenure_test", "collection": "leases" };
    vec![doc! { "resource": leases, "actions": actions }]
}

async fn make_user(admin: &Client, user: &str, password: &str, role: &str) {
    // What is built in is of each database; `root`, and what is made here, of this one.
    let of = if role == "read" {
        "tenure_test"
    } else {
        "admin"
    };
    let roles = [doc! { "role": role, "db": of }];
    run(
        admin,
        doc! { "createUser": user, "pwd": password, "roles": &roles[..] },
    )
    .await;
}

async fn run(admin: &Client, command: Document) {
    admin.database("admin").run_command(command).await.unwrap();
}
