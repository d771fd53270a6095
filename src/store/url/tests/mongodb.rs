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
fn a_call_limit_is_a_whole_number_with_its_unit() {
    let millis = |text: &str| {
        let target = target(&format!("mongodb://h/?call_limit={text}&w=1"));
        target.call_limit.map(|limit| limit.as_millis())
    };
    assert_eq!(millis("500ms"), Some(500));
    assert_eq!(millis("5s"), Some(5000));
    assert_eq!(target("mongodb://h/").call_limit, None);
    for text in [
        "5",
        "s",
        "0s",
        "-1s",
        "1.5s",
        "+5s",
        "5m",
        "99999999999999999999s",
    ] {
        let error = Target::parse(&format!("mongodb://h/?call_limit={text}"));
        let error = error.err().expect("not a duration").to_string();
        assert!(error.contains("`call_limit` is not a duration"), "{error}");
    }
}

#[test]
fn an_error_names_the_parameter_that_is_not_accepted() {
    for (url, expected) in [
        (
            "mongodb://h/?colection=x",
            "parameter `colection` is unknown; tenure's own parameters are `collection` and `call_limit`",
        ),
        (
            "mongodb://u:p@h/?w=1&Collection=x",
            "`Collection` is unknown",
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
            "parameter 1 is not of the form `name=value`",
        ),
        (
            "mongodb://h/?w=1&",
            "parameter 2 is not of the form `name=value`",
        ),
        ("mongodb://h/?w=1&w=2", "`w` is set twice"),
        (
            "mongodb://h/?collection=a&collection=b",
            "`collection` is set twice",
        ),
        ("mongodb://h/?collection=", "`collection` is empty"),
        ("mongodb://h/?collection=%zz", "has a `%`"),
        ("mongodb://h/?collection=%ff", "is not UTF-8"),
        (
            "mongodb://h/?collection=a%24b",
            "the name of the collection is not allowed",
        ),
        (
            "mongodb://h/?collection=system.users",
            "the name of the collection is not allowed",
        ),
        (
            "mongodb://h/?a%20b=c",
            "a parameter whose name has unusual characters is unknown",
        ),
        ("mongodb:h", "two slashes"),
        ("mongodb://", "does not accept the servers"),
        ("mongodb://h:port", "does not accept the servers"),
        (
            "mongodb+srv://a.example.org:1/",
            "does not accept the servers",
        ),
        ("mongodb://h/a b", "the name of the database"),
        ("mongodb://h/a.b", "the name of the database is not allowed"),
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
