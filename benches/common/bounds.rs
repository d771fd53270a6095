//! Numbers from the environment, and bounds that a benchmark asserts.

use std::process::ExitCode;

/// A number from an environment variable.
pub(crate) fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| {
        let number = text.parse();
        number.unwrap_or_else(|_| panic!("{variable} is no number: {text:?}"))
    })
}

/// Prints the bounds that do not hold. The exit status says whether all do.
pub(crate) fn judge<const N: usize>(bounds: [(bool, &str); N]) -> ExitCode {
    for (_, bound) in bounds.iter().filter(|(holds, _)| !holds) {
        println!("does not hold: {bound}");
    }
    ExitCode::from(u8::from(bounds.iter().any(|(holds, _)| !holds)))
}
