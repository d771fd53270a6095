use std::time::Duration;

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
        call_limit: None,
    };
    assert_eq!(target("dynamodb://my.Leases_1"), plain);
    assert_eq!(
        target("dynamodb://my.Leases_1/?create_table_if_missing=false"),
        plain
    );
    let url = "dynamodb://my.Leases_1?region=eu-central-1&create_table_if_missing=true&call_limit=1500ms\
               &endpoint=http%3A%2F%2F127.0.0.1:8000";
    let full = Dynamo {
        region: Some("eu-central-1".to_owned()),
        endpoint: Some("http://127.0.0.1:8000".to_owned()),
        create: true,
        call_limit: Some(Duration::from_millis(1500)),
        ..plain
    };
    assert_eq!(target(url), full);
    for endpoint in ["https://[::1]", "http://[::1]:8000/", "https://a.b/c"] {
        target(&format!("dynamodb://leases?endpoint={endpoint}"));
    }
}

#[test]
fn an_error_names_the_part_that_is_not_accepted() {
    for (url, expected) in [
        ("dynamodb:leases", "two slashes"),
        ("dynamodb://", "the name of the table"),
        ("dynamodb://ab", "the name of the table"),
        ("dynamodb://leases/x", "the name of the table"),
        ("dynamodb://leas%65s", "the name of the table"),
        (
            "dynamodb://leases?Region=x",
            "`Region` is unknown; the parameters are `region`",
        ),
        ("dynamodb://leases?region=", "`region` is empty"),
        (
            "dynamodb://leases?region=a_b",
            "`region` is not a region name",
        ),
        (
            "dynamodb://leases?region=a&region=b",
            "`region` is set twice",
        ),
        (
            "dynamodb://leases?region",
            "parameter 1 is not of the form `name=value`",
        ),
        (
            "dynamodb://leases?create_table_if_missing=yes",
            "must be `true` or `false`",
        ),
        (
            "dynamodb://leases?endpoint=localhost:8000",
            "`endpoint` is not an address",
        ),
        (
            "dynamodb://leases?endpoint=http://",
            "`endpoint` is not an address",
        ),
        (
            "dynamodb://leases?endpoint=http://[::1",
            "`endpoint` is not an address",
        ),
        (
            "dynamodb://leases?endpoint=http://[h]:1",
            "`endpoint` is not an address",
        ),
        (
            "dynamodb://leases?endpoint=http://h:1:1",
            "`endpoint` is not an address",
        ),
        (
            "dynamodb://leases?endpoint=http://h:0",
            "`endpoint` is not an address",
        ),
        (
            "dynamodb://leases?endpoint=http://h:1x",
            "`endpoint` is not an address",
        ),
        (
            "dynamodb://leases?endpoint=http://h%20h",
            "`endpoint` is not an address",
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
