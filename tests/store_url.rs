//! A store is opened by its URL, or an error says what is wrong with the URL.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{error::Error, future::Future, sync::Arc};

use tenure::{
    LeaseStore, open_store,
    store::{Operation, StoreErrorKind},
};

/// Waits on a runtime without timers and sockets.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(work)
}

fn open(url: &str) -> Arc<dyn LeaseStore> {
    block_on(open_store(url)).unwrap()
}

/// The kind of an error, and all that could be printed of it.
fn refused(url: &str) -> (StoreErrorKind, String) {
    let error = block_on(open_store(url)).unwrap_err();
    assert_eq!(error.operation(), Operation::Open);
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(" {error} {error:?}");
        source = error.source();
    }
    (error.kind(), text)
}

#[test]
fn each_memory_store_is_a_new_one() {
    let (one, other) = (open("memory:"), open("memory:"));
    assert_eq!(one.kind(), "memory");
    assert!(!Arc::ptr_eq(&one, &other));
    block_on(one.prepare()).unwrap();
}

#[test]
fn an_unknown_scheme_and_text_that_is_no_url_are_misconfigured() {
    for (url, expected) in [
        ("postgres://u:hunter2@h/db", "scheme `postgres`"),
        ("leases.db", "not the URL of a store"),
        (
            "",
            "the URL is empty: check the setting that contains it, and write one of memory:",
        ),
        ("memory:\r", "control character"),
    ] {
        let (kind, text) = refused(url);
        assert_eq!(kind, StoreErrorKind::Misconfigured, "{text}");
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_store_that_is_not_in_this_build_is_unsupported() {
    for (url, feature, there) in [
        ("sqlite:leases.db", "sqlite", cfg!(feature = "sqlite")),
        (
            "mongodb://u:hunter2@h",
            "mongodb",
            cfg!(feature = "mongodb"),
        ),
        (
            "mongodb+srv://u:hunter2@h",
            "mongodb",
            cfg!(feature = "mongodb"),
        ),
        ("dynamodb://leases", "dynamodb", cfg!(feature = "dynamodb")),
    ] {
        if !there {
            let (kind, text) = refused(url);
            assert_eq!(kind, StoreErrorKind::Unsupported, "{text}");
            assert!(text.contains(&format!("the feature `{feature}`")), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;

    #[test]
    fn a_file_is_opened_and_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b%20@c.db");
        let store = open(&format!("sqlite:{}", path.display()));
        assert_eq!(store.kind(), "sqlite");
        block_on(store.prepare()).unwrap();
        assert!(path.is_file());
    }

    #[test]
    fn the_errors_of_the_store_about_the_path_are_returned() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing").join("leases.db");
        let (kind, text) = refused(&format!("sqlite:{}", missing.display()));
        assert_eq!(kind, StoreErrorKind::Misconfigured);
        assert!(text.contains("does not exist: create it first"), "{text}");
        for url in ["sqlite:", "sqlite::memory:", "sqlite:leases.db?mode=ro"] {
            assert_eq!(refused(url).0, StoreErrorKind::Misconfigured, "{url}");
        }
    }
}

#[cfg(feature = "mongodb")]
mod mongodb {
    use std::time::{Duration, Instant};

    use super::*;

    /// Port 9 is that of the service `discard`, which no machine of today has.
    const NOBODY: &str = "mongodb://u:hunter2@127.0.0.1:9/?serverSelectionTimeoutMS=200";

    #[test]
    fn a_server_that_is_down_is_no_error_of_opening() {
        let begun = Instant::now();
        let store = open(NOBODY);
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(store.kind(), "mongodb");
        assert_eq!(format!("{store:?}"), r#"MongoStore("tenure.leases")"#);
        let error = block_on(store.prepare()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }

    #[test]
    fn a_server_that_was_never_reached_is_named_with_the_cause_within_5_s() {
        for (host, cause) in [
            ("127.0.0.1:9", "127.0.0.1:9: Connection refused"),
            (
                "no.such.host",
                "no.such.host:27017: failed to lookup address information",
            ),
        ] {
            // The driver by itself would look for a server for 30 s.
            let store = open(&format!("mongodb://{host}"));
            let begun = Instant::now();
            let error = block_on(store.prepare()).unwrap_err();
            assert!(begun.elapsed() < Duration::from_secs(5));
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains(cause), "{error}");
        }
    }

    #[test]
    fn the_path_and_a_parameter_name_database_and_collection() {
        let store = open("mongodb://127.0.0.1:9/app?w=1&collection=locks");
        assert_eq!(format!("{store:?}"), r#"MongoStore("app.locks")"#);
    }

    #[test]
    fn a_file_that_is_missing_is_misconfigured() {
        let (kind, text) = refused("mongodb://h/?tls=true&tlsCAFile=/missing/ca.pem");
        assert_eq!(kind, StoreErrorKind::Misconfigured, "{text}");
    }

    #[test]
    fn what_the_driver_does_not_know_is_named_and_the_password_is_not() {
        for url in [
            "mongodb://u:hunter2@h/?fooBar=1",
            "mongodb+srv://u:hunter2@example.invalid/?fooBar=1",
        ] {
            let (kind, text) = refused(url);
            assert_eq!(kind, StoreErrorKind::Misconfigured, "{text}");
            assert!(text.contains("`fooBar` is unknown"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}

#[cfg(feature = "dynamodb")]
mod dynamodb {
    use super::*;

    #[test]
    fn a_table_is_opened_without_a_request() {
        let url = "dynamodb://leases?region=local&endpoint=http://127.0.0.1:9";
        assert_eq!(open(url).kind(), "dynamodb");
    }

    #[test]
    fn credentials_in_the_url_are_refused() {
        let (kind, text) = refused("dynamodb://AKIA:hunter2@leases?region=local");
        assert_eq!(kind, StoreErrorKind::Misconfigured);
        assert!(text.contains("AWS_ACCESS_KEY_ID"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
