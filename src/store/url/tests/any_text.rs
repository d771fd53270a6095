use proptest::prelude::*;

use super::*;

const SECRET: &str = "Hunter2Hunter2";

fn shows_no_secret(url: &str) -> Result<(), TestCaseError> {
    if let Err(error) = Target::parse(url) {
        let text = printed(&error);
        // The secret is this word twice, so half of it is not shown either.
        prop_assert!(!text.contains("Hunter2"), "{url:?}: {text}");
        prop_assert_eq!(error.operation(), Operation::Open);
    }
    Ok(())
}

/// A piece of a misspelt user, password, host or parameter.
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

    /// A password may be anything before the last `@`, anything after a colon if there is no `@`, and the value of
    /// any parameter.
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
