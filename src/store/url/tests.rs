use std::error::Error;

mod any_text;
#[cfg(feature = "dynamodb")]
mod dynamodb;
#[cfg(feature = "mongodb")]
mod mongodb;

use super::*;

/// Everything that a program could print of an error.
fn printed(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(" {error} {error:?}");
        source = error.source();
    }
    text
}

#[track_caller]
fn refused(url: &str) -> StoreError {
    match Target::parse(url) {
        Ok(_) => panic!("{url:?} is accepted"),
        Err(error) => {
            assert_eq!(error.operation(), Operation::Open);
            error
        }
    }
}

#[track_caller]
fn refusal(url: &str) -> String {
    let error = refused(url);
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
    error.to_string()
}

#[test]
fn an_unknown_scheme_is_an_error_that_lists_the_known_ones() {
    let text = refusal("postgres://u:hunter2@h/db");
    assert!(
        text.starts_with(
            "url open: misconfigured: no store has the scheme `postgres`; this build supports memory:"
        ),
        "{text}"
    );
    assert!(!text.contains("hunter2"));
    assert_eq!(text.contains("sqlite:PATH"), cfg!(feature = "sqlite"));
    assert_eq!(text.contains("mongodb+srv://…"), cfg!(feature = "mongodb"));
    assert_eq!(
        text.contains("dynamodb://TABLE"),
        cfg!(feature = "dynamodb")
    );
}

#[test]
fn a_scheme_whose_feature_is_off_names_the_feature() {
    for (scheme, _, feature, there) in SCHEMES {
        let url = format!("{scheme}://leases");
        if !there {
            let error = refused(&url);
            assert_eq!(error.kind(), StoreErrorKind::Unsupported);
            let expected = format!("needs the feature `{}`", feature.unwrap());
            assert!(error.to_string().contains(&expected), "{error}");
        }
    }
}

#[test]
fn text_that_is_not_a_url_is_not_quoted_in_the_error() {
    for url in ["leases.db", ":", "://", "se cret:x", "secret", "sécret:x"] {
        let text = refusal(url);
        assert!(text.contains("not the URL of a store"), "{url:?}: {text}");
        assert!(!text.contains("cret"), "{text}");
    }
    for url in ["", " "] {
        assert!(refusal(url).contains("the URL is empty"), "{url:?}");
    }
    assert!(refusal("memory:\n").contains("control character at byte 7"));
    assert!(refusal(&format!("{}:x", "s".repeat(21))).contains("not the URL"));
}

#[test]
fn a_memory_url_has_nothing_after_the_colon() {
    assert!(Target::parse("memory:").is_ok());
    assert!(Target::parse("MEMORY:").is_ok());
    for url in ["memory:x", "memory://", "memory:?a=b"] {
        assert!(refusal(url).contains("must be `memory:` alone"), "{url}");
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;

    #[test]
    fn a_path_is_not_decoded() {
        for (url, path) in [
            ("sqlite:leases.db", "leases.db"),
            ("sqlite:./a%20b@c.db", "./a%20b@c.db"),
            ("sqlite:/var/leases.db", "/var/leases.db"),
            ("sqlite:///var/leases.db", "///var/leases.db"),
        ] {
            match Target::parse(url) {
                Ok(Target::Sqlite(target)) => assert_eq!(target.path, path),
                _ => panic!("{url}"),
            }
        }
    }

    #[test]
    fn a_path_that_looks_like_a_mistake_is_refused() {
        assert!(refusal("sqlite:").contains("the path is missing"));
        assert!(refusal("sqlite:a.db?mode=ro").contains("the URL has no parameters"));
        let text = refusal("sqlite://u:hunter2@h/a.db");
        assert!(
            text.contains("no host") && !text.contains("hunter2"),
            "{text}"
        );
    }
}
