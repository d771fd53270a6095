use std::{io, time::Duration};

use mongodb::error::{CommandError, Error, ErrorKind, WriteFailure};

use super::servers::RequestTrace;
pub(super) use crate::store::failure::{Failure, RequestResult};
use crate::{duration::human, store::StoreErrorKind};

impl Failure {
    /// No answer within the limit of the call.
    pub(super) fn late(access: Access, limit: Duration, trace: &RequestTrace) -> Self {
        let kind = access.kind_of(access.unanswered(), trace);
        let limit = human(limit);
        let message = match (trace.server(), trace.servers()) {
            (Some(server), _) => format!("no answer from {server} within {limit}: {CHECK}"),
            (None, Some(servers)) => format!(
                "not sent within {limit}, because there was no connection to a server that takes writes \
                 ({servers}): {CHECK}"
            ),
            (None, None) => format!("no answer within {limit}: {CHECK}"),
        };
        Self::new(kind, message)
    }

    /// Nothing was sent within the limit, because too many requests wait for an answer.
    pub(super) fn held_back(limit: Duration, trace: &RequestTrace) -> Self {
        let servers = (trace.servers()).map_or_else(String::new, |servers| format!(" ({servers})"));
        let message = format!(
            "not sent within {}, because earlier requests have no answer yet{servers}: {CHECK}",
            human(limit)
        );
        Self::new(StoreErrorKind::Unavailable, message)
    }

    /// Nothing was sent within the limit, because the server has refused the credentials before.
    pub(super) fn locked_out(limit: Duration) -> Self {
        let message = format!(
            "{CREDENTIALS}; the driver did not ask again within {}, it does so with its next heartbeat",
            human(limit)
        );
        Self::new(StoreErrorKind::Denied, message)
    }
}

/// An error of the driver, and the trace of the request that it belongs to.
#[derive(Debug)]
pub(super) struct TracedError {
    pub(super) error: Error,
    pub(super) trace: RequestTrace,
}

/// Whether a request could have changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Access {
    fn unanswered(self) -> StoreErrorKind {
        match self {
            Self::Read => StoreErrorKind::Unavailable,
            Self::Write => StoreErrorKind::Unknown,
        }
    }

    /// Corrects the kind of an error by how often the request was sent.
    fn kind_of(self, kind: StoreErrorKind, trace: &RequestTrace) -> StoreErrorKind {
        use StoreErrorKind::{Unavailable, Unknown};
        match (self, trace.times_sent()) {
            (Self::Write, Some(0)) if kind == Unknown => Unavailable,
            // The reason why the last try was refused may not hold for the first.
            (Self::Write, Some(2..)) => Unknown,
            _ => kind,
        }
    }

    pub(super) fn failure(self, error: TracedError) -> Failure {
        let TracedError { error, trace } = error;
        let (kind, message) = self.judge(&error);
        let kind = self.kind_of(kind, &trace);
        let is_about_a_server =
            matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::Unknown);
        let message = match trace.place().filter(|_| is_about_a_server) {
            Some(place) => format!("{message} ({place})"),
            None => message.to_owned(),
        };
        Failure::new(kind, message).because(error)
    }

    /// If the driver does not send a second try, it returns the error of the first. So if the error says that
    /// nothing was sent, no try was sent.
    fn judge(self, error: &Error) -> (StoreErrorKind, &'static str) {
        use StoreErrorKind::{Denied, Misconfigured, Unavailable, Unsupported};
        match &*error.kind {
            ErrorKind::Command(CommandError { code, message, .. }) => self.refusal(*code, message),
            ErrorKind::Write(WriteFailure::WriteError(refused)) => {
                self.refusal(refused.code, &refused.message)
            }
            ErrorKind::Write(WriteFailure::WriteConcernError(_)) => (
                self.unanswered(),
                "the write is not yet known to be on a majority of the members: check the members that \
                 are down or behind",
            ),
            ErrorKind::Authentication { .. } => (Denied, CREDENTIALS),
            // The driver has no kind for it. A test with such a server fails when the text changes.
            ErrorKind::ServerSelection { message, .. } if message.contains("wire version") => (
                Unsupported,
                "the driver and the server have no common protocol version: use MongoDB 4.4 or newer, and an \
                 up-to-date driver",
            ),
            ErrorKind::ServerSelection { .. } | ErrorKind::DnsResolve { .. } => (
                Unavailable,
                "no server that takes writes can be reached: check that the members run, have a \
                 primary, and can be reached under the names in the client's URL",
            ),
            // Requests that wait for a connection get it when another request's connection fails. The driver
            // has no kind for it; a test with a frozen server fails when the text changes.
            ErrorKind::ConnectionPoolCleared { message, .. }
                if message.starts_with("Connection pool for ") =>
            {
                (
                    Unavailable,
                    "no connection, because another request has just failed: see its error",
                )
            }
            // Requests that wait for an answer get it when the server has missed a heartbeat.
            ErrorKind::ConnectionPoolCleared { .. } => (
                self.unanswered(),
                "the driver has dropped the connection, because the server does not answer: check whether \
                 it hangs",
            ),
            // Happens only while a connection is opened.
            ErrorKind::Io(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => (
                Unavailable,
                "a member refuses connections: check that it runs",
            ),
            ErrorKind::InvalidArgument { .. } | ErrorKind::InvalidTlsConfig { .. } => (
                Misconfigured,
                "the driver does not accept the request: check the client's options",
            ),
            ErrorKind::IncompatibleServer { .. } => (Unsupported, OLD_SERVER),
            // The first try may have reached a server with sessions, and have been applied.
            ErrorKind::SessionsNotSupported => (self.unanswered(), OLD_SERVER),
            ErrorKind::Shutdown => (Unavailable, "the client has been shut down: create another"),
            _ => (
                self.unanswered(),
                "the request failed on its way or at the server: check the network and the server's \
                 log",
            ),
        }
    }

    fn refusal(self, code: i32, message: &str) -> (StoreErrorKind, &'static str) {
        use StoreErrorKind::{Corrupt, Denied, Misconfigured, Throttled, Unavailable, Unsupported};
        match code {
            // UserNotFound, AuthenticationFailed, and Atlas for the same.
            11 | 18 | 8000 => (Denied, CREDENTIALS),
            UNAUTHORIZED if message.ends_with("requires authentication") => (
                Denied,
                "the server asks for credentials and the client has none: give it a user and a password \
                 in its options or its URL",
            ),
            UNAUTHORIZED => (
                Denied,
                "the user lacks a privilege: grant it find, insert and update on the collection (and \
                 createIndex for `prepare`, remove for `purge`)",
            ),
            // TypeMismatch, PathNotViable.
            14 | 28 => (
                Corrupt,
                "a field of the document has another type than that of a lease: repair the document",
            ),
            // Azure Cosmos DB, and IngressRequestRateLimitExceeded.
            16500 | 462 => (
                Throttled,
                "the server asks for fewer requests: raise its limit, or the ttl of the locks",
            ),
            DUPLICATE_KEY if message.contains("index: _id_ ") => (
                Unavailable,
                "another request created the record at the same moment, or the collection's collation \
                 takes the name for another one: give the leases a collection without a collation",
            ),
            DUPLICATE_KEY => (
                Misconfigured,
                "a unique index that was added to the collection refuses the record: drop it",
            ),
            // WriteConflict.
            112 => (
                Unavailable,
                "another request wrote the record at the same moment: try again",
            ),
            // CommandNotSupportedOnView, InvalidNamespace, IndexOptionsConflict,
            // IndexKeySpecsConflict, DocumentValidationFailure, InvalidOptions, IllegalOperation,
            // ShardKeyNotFound.
            166 | 73 | 85 | 86 | 121 | 72 | 20 | 61 => (
                Misconfigured,
                "the collection does not take the request: give the leases a plain collection of their \
                 own, without a validator, sharded by `_id` if at all",
            ),
            // FailedToParse, CommandNotFound, CommandNotSupported, NotImplemented, and the codes for unknown
            // expressions, stages and variables.
            9 | 59 | 115 | 238 | 168 | 303 | 17276 | 31253 | 31325 | 40324 | 40415 => {
                (Unsupported, OLD_SERVER)
            }
            // NotWritablePrimary, NotPrimaryNoSecondaryOk, PrimarySteppedDown.
            10107 | 13435 | 189 => (
                self.unanswered(),
                "the server is not primary: if it stays so, check the members, and whether the client \
                 uses this one only (`directConnection`)",
            ),
            // For instance a shutdown or a time limit: the write may have been applied before it.
            _ => (
                self.unanswered(),
                "the server could not finish the request: check its log",
            ),
        }
    }
}

const CHECK: &str = "check that the server runs, can be reached and accepts this client, and that a replica \
     set has a primary and a majority";

const UNAUTHORIZED: i32 = 13;

const CREDENTIALS: &str = "the server does not accept the credentials: check the user, the password and the \
     database that knows the user (`authSource`)";

/// The answer to an upsert that lost a race for a new name.
const DUPLICATE_KEY: i32 = 11000;

const OLD_SERVER: &str = "the server is too old for the request: use MongoDB 4.4 or newer";

pub(super) fn is_duplicate_key(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(command) if command.code == DUPLICATE_KEY)
}

/// Whether a write to many documents has failed because of one of them.
pub(super) fn concerns_one_document(error: &Error) -> bool {
    use StoreErrorKind::{Denied, Throttled, Unavailable};
    // MaxTimeMSExpired.
    const LATE: i32 = 50;
    let ErrorKind::Write(WriteFailure::WriteError(refused)) = &*error.kind else {
        return false;
    };
    let (kind, _) = Access::Write.refusal(refused.code, &refused.message);
    refused.code != LATE && !matches!(kind, Unavailable | Throttled | Denied)
}

/// Whether the server has no change streams, because it is not a member of a replica set.
pub(super) fn is_without_change_streams(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(command) if command.code == 40573)
}

/// Whether the user lacks a privilege.
pub(super) fn is_unauthorized(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(command) if command.code == UNAUTHORIZED)
}

pub(super) fn is_of_credentials(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Authentication { .. })
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;
    use StoreErrorKind::{Denied, Misconfigured, Throttled, Unavailable, Unknown, Unsupported};

    fn command(code: i32, message: &str) -> Error {
        let command = json!({ "code": code, "codeName": "", "errmsg": message });
        ErrorKind::Command(from_value(command).unwrap()).into()
    }

    #[test]
    fn the_code_of_a_refused_command_decides_the_kind() {
        for (code, message, read, write) in [
            (13, "not authorized", Denied, Denied),
            (18, "Authentication failed.", Denied, Denied),
            (11, "Could not find user", Denied, Denied),
            (8000, "bad auth : Authentication failed.", Denied, Denied),
            (16500, "Request rate is large", Throttled, Throttled),
            (
                11000,
                "E11000 … index: _id_ dup key",
                Unavailable,
                Unavailable,
            ),
            (
                11000,
                "E11000 … index: holder_1 dup key",
                Misconfigured,
                Misconfigured,
            ),
            (112, "WriteConflict", Unavailable, Unavailable),
            (
                121,
                "Document failed validation",
                Misconfigured,
                Misconfigured,
            ),
            (
                40324,
                "Unrecognized pipeline stage name",
                Unsupported,
                Unsupported,
            ),
            (9, "Failed to parse", Unsupported, Unsupported),
            (59, "no such command", Unsupported, Unsupported),
            (
                17276,
                "Use of undefined variable: NOW",
                Unsupported,
                Unsupported,
            ),
            // NotWritablePrimary, PrimarySteppedDown, MaxTimeMSExpired, one that is unknown today.
            (10107, "not master", Unavailable, Unknown),
            (189, "stepped down", Unavailable, Unknown),
            (50, "operation exceeded time limit", Unavailable, Unknown),
            (987_654, "", Unavailable, Unknown),
        ] {
            assert_eq!(
                Access::Read.judge(&command(code, message)).0,
                read,
                "{code}"
            );
            assert_eq!(
                Access::Write.judge(&command(code, message)).0,
                write,
                "{code}"
            );
        }
    }

    #[test]
    fn a_write_that_may_have_been_sent_is_unknown() {
        let kind = |error: ErrorKind| Access::Write.judge(&error.into()).0;
        let io = |kind: io::ErrorKind| ErrorKind::Io(std::sync::Arc::new(kind.into()));
        assert_eq!(kind(io(io::ErrorKind::UnexpectedEof)), Unknown);
        assert_eq!(kind(io(io::ErrorKind::ConnectionReset)), Unknown);
        assert_eq!(kind(io(io::ErrorKind::ConnectionRefused)), Unavailable);
        let concern =
            json!({ "code": 64, "codeName": "", "errmsg": "waiting for replication timed out" });
        let concern = WriteFailure::WriteConcernError(from_value(concern).unwrap());
        assert_eq!(kind(ErrorKind::Write(concern)), Unknown);
    }

    #[test]
    fn a_write_that_was_never_sent_is_unavailable() {
        let refused = ErrorKind::Io(std::sync::Arc::new(io::ErrorKind::ConnectionReset.into()));
        let kind = |trace| {
            let error = refused.clone().into();
            Access::Write.failure(TracedError { error, trace }).kind
        };
        assert_eq!(
            kind(RequestTrace::default()),
            Unknown,
            "a client that does not tell"
        );
        assert_eq!(kind(RequestTrace::of_times(0)), Unavailable);
        assert_eq!(kind(RequestTrace::of_times(1)), Unknown);
    }

    #[test]
    fn a_refusal_of_a_second_try_says_nothing_of_the_first() {
        for (times, expected) in [(1, Denied), (2, Unknown)] {
            let error = command(13, "not authorized");
            let trace = RequestTrace::of_times(times);
            let failure = Access::Write.failure(TracedError { error, trace });
            assert_eq!(failure.kind, expected);
            let error = command(13, "not authorized");
            let trace = RequestTrace::of_times(times);
            let failure = Access::Read.failure(TracedError { error, trace });
            assert_eq!(failure.kind, Denied);
        }
        assert_eq!(
            Access::Write
                .judge(&ErrorKind::SessionsNotSupported.into())
                .0,
            Unknown
        );
    }
}
