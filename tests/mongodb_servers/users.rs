//! A server that requires credentials, with its users and roles.

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
        // The smallest number that the server accepts: with the default, the unoptimized driver needs a second
        // to log in.
        let rounds = ["--setParameter", "scramIterationCount=5000"];
        let server = Standalone::start(&[&["--auth"], &rounds[..]].concat());
        let password = unique();
        // While there is no user, any client on this host may create the first one.
        let stranger = Client::with_options(server.options()).unwrap();
        make_user(&stranger, "admin", &password, "root").await;
        let options = with_credential(server.options(), "admin", &password);
        let admin = Client::with_options(options).unwrap();
        Self { server, admin }
    }

    /// Options of a client without credentials.
    pub(crate) fn stranger(&self) -> ClientOptions {
        self.server.options()
    }

    /// Options of a client with these credentials.
    pub(crate) fn options(&self, user: &str, password: &str) -> ClientOptions {
        with_credential(self.server.options(), user, password)
    }

    pub(crate) async fn make_user(&self, user: &str, password: &str, role: &str) {
        make_user(&self.admin, user, password, role).await;
    }

    /// Creates a role that allows only these actions, on the collection of the leases.
    pub(crate) async fn make_role(&self, role: &str, actions: &[&str]) {
        let command = doc! { "createRole": role, "privileges": privileges(actions), "roles": [] };
        run(&self.admin, command).await;
    }

    /// Changes the actions of an existing role.
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
    // Built-in roles belong to every database, except for `root`, which belongs to `admin`, like the roles that
    // are created here.
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
