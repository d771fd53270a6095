use std::error::Error;

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
fn an_unknown_scheme_is_told_with_those_there_are() {
    let text = refusal("postgres://u:hunter2@h/db");
    assert!(
        text.starts_with(
            "url open: misconfigured: no store has the scheme `postgres`; there are memory:"
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
fn what_is_no_url_is_not_repeated() {
    for url in [
        "",
        " ",
        "leases.db",
        ":",
        "://",
        "se cret:x",
        "secret",
        "sécret:x",
    ] {
        let text = refusal(url);
        assert!(text.contains("no URL of a store"), "{url:?}: {text}");
        assert!(!text.contains("cret"), "{text}");
    }
    assert!(refusal("memory:\n").contains("control character at byte 7"));
    assert!(refusal(&format!("{}:x", "s".repeat(21))).contains("no URL"));
}

#[test]
fn memory_takes_nothing() {
    assert!(Target::parse("memory:").is_ok());
    assert!(Target::parse("MEMORY:").is_ok());
    for url in ["memory:x", "memory://", "memory:?a=b"] {
        assert!(refusal(url).contains("nothing follows"), "{url}");
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is() {
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
    fn what_is_hardly_meant_as_a_path_is_refused() {
        assert!(refusal("sqlite:").contains("the path is missing"));
        assert!(refusal("sqlite:a.db?mode=ro").contains("there are no parameters"));
        let text = refusal("sqlite://u:hunter2@h/a.db");
        assert!(
            text.contains("no host") && !text.contains("hunter2"),
            "{text}"
        );
    }
}

#[cfg(feature = "mongodb")]
mod mongodb {
    use super::*;

    fn target(url: &str) -> super::super::mongodb::Target {
        match Target::parse(url) {
            Ok(Target::Mongo(target)) => target,
            Ok(_) => panic!("{url}: another store"),
            Err(error) => panic!("{url}: {error}"),
        }
    }

    #[test]
    fn the_database_and_the_collection_have_defaults() {
        for (url, database, collection) in [
            ("mongodb://h", "tenure", "leases"),
            ("mongodb://h/", "tenure", "leases"),
            ("mongodb://h?replicaSet=rs0", "tenure", "leases"),
            ("mongodb://a,b:1/app?replicaSet=rs0", "app", "leases"),
            ("MongoDB://h/a%2Db?collection=%6Cocks", "a-b", "locks"),
            (
                "mongodb://h/?collection=a.b&replicaSet=rs0",
                "tenure",
                "a.b",
            ),
            (
                "mongodb+srv://u:p%40ss@example.org/app?w=1",
                "app",
                "leases",
            ),
            (
                "mongodb://h/?readPreferenceTags=a:b&readPreferenceTags=&readPreference=nearest",
                "tenure",
                "leases",
            ),
        ] {
            let target = target(url);
            assert_eq!(target.database, database, "{url}");
            assert_eq!(target.collection, collection, "{url}");
        }
    }

    #[test]
    fn a_parameter_that_is_not_accepted_is_named() {
        for (url, expected) in [
            (
                "mongodb://h/?colection=x",
                "parameter `colection` is not known; tenure's own is `collection`",
            ),
            (
                "mongodb://u:p@h/?w=1&Collection=x",
                "`Collection` is not known",
            ),
            (
                "mongodb://h/?maxPoolSize=many",
                "`maxPoolSize` with this value",
            ),
            (
                "mongodb://h/?replicaSet=a&w=-1&journal=true",
                "`w` with this value",
            ),
            (
                "mongodb://h/?readPreferenceTags=a:b",
                "`readPreferenceTags` with this value",
            ),
            (
                "mongodb://a,b/?directConnection=true",
                "`directConnection` with this value",
            ),
            (
                "mongodb://h/?socketTimeoutMS=1",
                "`socketTimeoutMS` with this value",
            ),
            (
                "mongodb://h/?a",
                "the parameter at place 1 is no `name=value`",
            ),
            (
                "mongodb://h/?w=1&",
                "the parameter at place 2 is no `name=value`",
            ),
            ("mongodb://h/?w=1&w=2", "`w` is given twice"),
            (
                "mongodb://h/?collection=a&collection=b",
                "`collection` is given twice",
            ),
            ("mongodb://h/?collection=", "`collection` is empty"),
            ("mongodb://h/?collection=%zz", "has a `%`"),
            ("mongodb://h/?collection=%ff", "is not UTF-8"),
            (
                "mongodb://h/?collection=a%24b",
                "no collection can have the name",
            ),
            (
                "mongodb://h/?collection=system.users",
                "no collection can have the name",
            ),
            (
                "mongodb://h/?a%20b=c",
                "a parameter with an odd name is not known",
            ),
            ("mongodb:h", "two slashes"),
            ("mongodb://", "does not accept the servers"),
            ("mongodb://h:port", "does not accept the servers"),
            (
                "mongodb+srv://a.example.org:1/",
                "does not accept the servers",
            ),
            ("mongodb://h/a b", "the name of the database"),
            ("mongodb://h/a.b", "no database can have the name"),
        ] {
            let text = refusal(url);
            assert!(text.contains(expected), "{url}: {text}");
        }
    }

    #[test]
    fn a_password_that_is_not_encoded_is_not_shown() {
        for url in [
            "mongodb://u:hunter2:x@h/",
            "mongodb://u:hun/ter2@h/",
            "mongodb://u:hunter2?x@h/",
            "mongodb://u:x?hunter2=1@h/",
            "mongodb://u:x?a=1&hunter2=b@h/",
            "mongodb://u:x?a=1&collection=hunter2%@h/",
            "mongodb://u:hunter2#@h/",
            "mongodb://u:hunter2@x@h/",
            "mongodb://u:hunter2%@h/",
            "mongodb://u:hunter2%zz@h/",
            "mongodb://u:hunter2%\u{800}@h/",
            "mongodb://u:hunter2%ff%fe@h/",
            "mongodb://u:hunter2",
            "mongodb://u:hunter2/",
            "mongodb://u:hunter2,h:1",
            "mongodb://u:hunter2@",
            "mongodb://u:hunter2@h:x",
            "mongodb://u:hunter2@h/a b",
            "mongodb://u:hunter2@h/?foo=bar",
            "mongodb://:hunter2@h/",
            "mongodb+srv://u:hunter2@a,b/",
            "mongodb+srv://u:hunter2@h:1/?w=1",
            "mongodb://h/?authMechanism=PLAIN&authMechanismProperties=hunter2",
            "mongodb://h/?authMechanism=hunter2",
            "mongodb://h/?proxyPassword=hunter2",
            "mongodb://h/?tlsCertificateKeyFilePassword=hunter2",
            "mongodb://h/?password=hunter2",
            "mongodb://h/?hunter2",
            "mongodb:u:hunter2@h",
        ] {
            let text = printed(&refused(url));
            assert!(!text.contains("hun"), "{url}: {text}");
        }
        let text = refusal("mongodb://u:p@ss@h/");
        assert!(text.contains("must be percent-encoded"), "{text}");
    }
}

#[cfg(feature = "dynamodb")]
mod dynamodb {
    use super::{super::dynamodb::Target as Dynamo, *};

    fn target(url: &str) -> Dynamo {
        match Target::parse(url) {
            Ok(Target::Dynamo(target)) => target,
            Ok(_) => panic!("{url}: another store"),
            Err(error) => panic!("{url}: {error}"),
        }
    }

    #[test]
    fn table_and_parameters_are_read() {
        let plain = Dynamo {
            table: "my.Leases_1".to_owned(),
            region: None,
            endpoint: None,
            create: false,
        };
        assert_eq!(target("dynamodb://my.Leases_1"), plain);
        assert_eq!(
            target("dynamodb://my.Leases_1/?create_table_if_missing=false"),
            plain
        );
        let url = "dynamodb://my.Leases_1?region=eu-central-1&create_table_if_missing=true\
                   &endpoint=http%3A%2F%2F127.0.0.1:8000";
        let full = Dynamo {
            region: Some("eu-central-1".to_owned()),
            endpoint: Some("http://127.0.0.1:8000".to_owned()),
            create: true,
            ..plain
        };
        assert_eq!(target(url), full);
        for endpoint in ["https://[::1]", "http://[::1]:8000/", "https://a.b/c"] {
            target(&format!("dynamodb://leases?endpoint={endpoint}"));
        }
    }

    #[test]
    fn what_is_not_accepted_is_named() {
        for (url, expected) in [
            ("dynamodb:leases", "two slashes"),
            ("dynamodb://", "the name of the table"),
            ("dynamodb://ab", "the name of the table"),
            ("dynamodb://leases/x", "the name of the table"),
            ("dynamodb://leas%65s", "the name of the table"),
            (
                "dynamodb://leases?Region=x",
                "`Region` is not known; the parameters are `region`",
            ),
            ("dynamodb://leases?region=", "`region` is empty"),
            (
                "dynamodb://leases?region=a_b",
                "`region` is no name of a region",
            ),
            (
                "dynamodb://leases?region=a&region=b",
                "`region` is given twice",
            ),
            ("dynamodb://leases?region", "place 1 is no `name=value`"),
            (
                "dynamodb://leases?create_table_if_missing=yes",
                "is `true` or `false`",
            ),
            (
                "dynamodb://leases?endpoint=localhost:8000",
                "`endpoint` is no address",
            ),
            (
                "dynamodb://leases?endpoint=http://",
                "`endpoint` is no address",
            ),
            (
                "dynamodb://leases?endpoint=http://h:0",
                "`endpoint` is no address",
            ),
            (
                "dynamodb://leases?endpoint=http://h:1x",
                "`endpoint` is no address",
            ),
            (
                "dynamodb://leases?endpoint=http://h%20h",
                "`endpoint` is no address",
            ),
            ("dynamodb://leases?endpoint=%F", "has a `%`"),
        ] {
            let text = refusal(url);
            assert!(text.contains(expected), "{url}: {text}");
        }
    }

    #[test]
    fn credentials_in_the_url_are_refused_with_advice() {
        for url in [
            "dynamodb://AKIA:hunter2@leases",
            "dynamodb://hunter2@leases?region=x",
            "dynamodb://AKIA:hun@ter2@leases",
            "dynamodb://AKIA:hunter2/+@leases",
            "dynamodb://AKIA:hun?ter2=@leases",
            "dynamodb://leases?endpoint=http://AKIA:hunter2@h",
            "dynamodb://leases?endpoint=http://AKIA:hunter2%40h",
        ] {
            let text = printed(&refused(url));
            assert!(text.contains("AWS_ACCESS_KEY_ID"), "{url}: {text}");
            assert!(!text.contains("hun"), "{url}: {text}");
        }
        for url in [
            "dynamodb://AKIA:hunter2",
            "dynamodb://AKIA:hunter2%40leases",
            "dynamodb://leases?secret_access_key=hunter2",
            "dynamodb://leases?hunter2",
            "dynamodb://leases?region=hunter2+",
            "dynamodb://leases?endpoint=http://AKIA:hunter2",
        ] {
            let text = printed(&refused(url));
            assert!(!text.contains("hun"), "{url}: {text}");
        }
    }
}

mod any_text {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "Hunter2Hunter2";

    fn shows_no_secret(url: &str) -> Result<(), TestCaseError> {
        if let Err(error) = Target::parse(url) {
            let text = printed(&error);
            // Also no half of it.
            prop_assert!(!text.contains("Hunter2"), "{url:?}: {text}");
            prop_assert_eq!(error.operation(), Operation::Open);
        }
        Ok(())
    }

    /// What users, passwords, hosts and parameters are misspelt with.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            Just(SECRET.to_owned()),
            r"[:/?#@&=%,+.\[\] ]{0,3}",
            "%[0-9a-fA-Fz]{0,2}",
            "(w|collection|region|endpoint|authMechanism|authMechanismProperties|appName)=",
            "[a-z]{1,3}",
            any::<char>().prop_map(String::from),
        ]
    }

    fn pieces() -> impl Strategy<Value = String> {
        proptest::collection::vec(piece(), 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

        #[test]
        fn never_panics(url in any::<String>()) {
            shows_no_secret(&url)?;
        }

        /// Up to the last `@` everything may be a password; without one, what stands behind a colon;
        /// and every value of a parameter.
        #[test]
        fn never_shows_a_password(
            scheme in "mongodb|mongodb\\+srv|dynamodb|postgres|memory|sqlite|foo",
            (user, password, rest) in (pieces(), pieces(), pieces()),
            name in "authMechanism|authMechanismProperties|appName|readPreference|w|region|endpoint|x",
        ) {
            let rest = rest.replace(SECRET, "");
            shows_no_secret(&format!("{scheme}://{user}:{SECRET}{password}@{rest}"))?;
            shows_no_secret(&format!("{scheme}://{user}:{password}{SECRET}@{rest}"))?;
            shows_no_secret(&format!("{scheme}://user:{SECRET}{rest}"))?;
            shows_no_secret(&format!("{scheme}://u:{password}@h/?{name}={SECRET}&{rest}"))?;
            shows_no_secret(&format!("{scheme}://leases?{name}={SECRET}{rest}"))?;
        }
    }
}
