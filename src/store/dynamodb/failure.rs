use std::{error::Error, time::Duration};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

pub(super) use crate::store::failure::{Failure, RequestResult};
use crate::{duration::human, store::StoreErrorKind};

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

    /// No answer within the limit of the call.
    pub(super) fn late(self, limit: Duration) -> Failure {
        let message = format!(
            "no answer within {}: check the network and the endpoint, and whether the client finds its \
             credentials",
            human(limit)
        );
        Failure::new(self.unanswered(), message)
    }

    /// Nothing was sent within the limit of the call.
    pub(super) fn held_back(limit: Duration) -> Failure {
        let message = format!(
            "not sent within {}, because earlier requests have no answer yet: check the network and the \
             endpoint",
            human(limit)
        );
        Failure::new(StoreErrorKind::Unavailable, message)
    }

    pub(super) fn failure<E, R>(self, error: SdkError<E, R>) -> Failure
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        use StoreErrorKind::{Denied, Misconfigured, Unavailable};
        let (kind, message) = match &error {
            SdkError::ServiceError(refused) => self.refusal(refused.err()),
            _ if is_about_credentials(&error) => (
                Denied,
                "the client finds no credentials: check its credentials provider (AWS_PROFILE, \
                 AWS_ACCESS_KEY_ID, or the role of the instance)",
            ),
            _ if is_about_the_endpoint(&error) => (
                Misconfigured,
                "the SDK cannot make the request: check the client's region and endpoint",
            ),
            SdkError::DispatchFailure(_) if was_refused(&error) => (
                Unavailable,
                "the endpoint cannot be reached: check the network, the client's region and endpoint, \
                 and with https the certificate",
            ),
            _ => (
                self.unanswered(),
                "the request failed on its way: check the network and the endpoint",
            ),
        };
        Failure::new(kind, message).because(error)
    }

    fn refusal(self, error: &impl ProvideErrorMetadata) -> (StoreErrorKind, &'static str) {
        use StoreErrorKind::{Denied, Misconfigured, Throttled, Unavailable};
        match error.code().unwrap_or_default() {
            "ResourceNotFoundException" => (Misconfigured, NO_TABLE),
            // Our requests are valid for every table with our keys.
            "ValidationException" => (Misconfigured, OTHER_KEYS),
            "SerializationException" | "UnknownOperationException" => (
                Misconfigured,
                "the endpoint does not accept the request: check that it is DynamoDB, in this region",
            ),
            "AccessDeniedException" => (
                Denied,
                "the credentials do not allow the request: see the least privileges on DynamoStore's page",
            ),
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationTokenException"
            | "MissingAuthenticationToken"
            | "ExpiredTokenException"
            | "RequestExpired"
            | "RequestTimeTooSkewed" => (
                Denied,
                "DynamoDB does not accept the credentials: check that they are right and have not expired, \
                 and that the machine's clock is right",
            ),
            "ThrottlingException"
            | "Throttling"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "LimitExceededException" => (
                Throttled,
                "DynamoDB asks for fewer requests: give the table on-demand billing, or more capacity",
            ),
            "TransactionConflictException" | "ReplicatedWriteConflictException" => (
                Unavailable,
                "another request wrote the item at the same moment: try again",
            ),
            // An error of the server (5xx) may come after the write.
            _ => (
                self.unanswered(),
                "DynamoDB could not finish the request: see the cause, and the AWS health dashboard",
            ),
        }
    }
}

pub(super) const NO_TABLE: &str = "there is no such table, or it is not ready yet: create it with \
     DynamoStore::create_table_if_missing (`create_table_if_missing=true` in a URL), or by hand with the \
     partition key `scope` and the sort key `name`, both strings; or correct the client's region";

pub(super) const OTHER_KEYS: &str = "the table has other keys than the partition key `scope` and the sort \
     key `name`, both strings: give the leases a separate table, and let \
     DynamoStore::create_table_if_missing create it";

/// Whether nothing was sent because there are no credentials to sign the request with.
fn is_about_credentials(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(
        <dyn std::error::Error + 'static>::is::<
            aws_credential_types::provider::error::CredentialsError,
        >,
    )
}

/// Whether nothing was sent because the endpoint is unknown. The SDK does not export the type of that error.
fn is_about_the_endpoint(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.to_string().starts_with("Invalid Configuration"))
}

/// Whether nothing was sent because no connection could be opened: the DNS, TCP or TLS failed.
///
/// The kind of an [`io::Error`](std::io::Error) does not tell: a connection that breaks after the request was
/// sent can also report an unreachable host.
fn was_refused(error: &(dyn Error + 'static)) -> bool {
    // hyper-util's text for an error before the request is sent. The SDK does not export its type.
    causes(error).any(|cause| cause.to_string() == "client error (Connect)")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        error.source()
    })
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};

    use aws_sdk_dynamodb::{
        error::{ConnectorError, ErrorMetadata},
        operation::update_item::UpdateItemError,
    };
    use thiserror::Error;

    use super::*;
    use StoreErrorKind::{Denied, Misconfigured, Throttled, Unavailable, Unknown};

    #[test]
    fn the_error_code_decides_the_kind() {
        for (code, read, write) in [
            ("ResourceNotFoundException", Misconfigured, Misconfigured),
            ("ValidationException", Misconfigured, Misconfigured),
            ("AccessDeniedException", Denied, Denied),
            ("UnrecognizedClientException", Denied, Denied),
            ("ExpiredTokenException", Denied, Denied),
            (
                "ProvisionedThroughputExceededException",
                Throttled,
                Throttled,
            ),
            ("ThrottlingException", Throttled, Throttled),
            ("TransactionConflictException", Unavailable, Unavailable),
            ("InternalServerError", Unavailable, Unknown),
            ("ServiceUnavailable", Unavailable, Unknown),
            ("SomeNewException", Unavailable, Unknown),
        ] {
            let error = ErrorMetadata::builder().code(code).build();
            assert_eq!(Access::Read.refusal(&error).0, read, "{code}");
            assert_eq!(Access::Write.refusal(&error).0, write, "{code}");
        }
    }

    /// Errors with the texts of hyper-util.
    #[derive(Debug, Error)]
    #[error("client error ({0})")]
    struct FakeClientError(&'static str, #[source] io::Error);

    #[test]
    fn a_write_that_fails_after_it_was_sent_is_unknown() {
        for kind in [
            ErrorKind::ConnectionRefused,
            ErrorKind::HostUnreachable,
            ErrorKind::NetworkUnreachable,
            ErrorKind::ConnectionReset,
            ErrorKind::TimedOut,
        ] {
            for (step, expected) in [("Connect", Unavailable), ("SendRequest", Unknown)] {
                let cause = FakeClientError(step, io::Error::from(kind));
                let error = ConnectorError::io(cause.into());
                let error = SdkError::<UpdateItemError, ()>::dispatch_failure(error);
                assert_eq!(Access::Write.failure(error).kind, expected, "{step} {kind}");
            }
        }
    }
}
