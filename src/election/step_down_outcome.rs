/// The outcome of a command to stop leading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StepDownOutcome {
    /// It did not lead, or its lease had ended before the subscribers acknowledged: another candidate may lead
    /// already.
    NotLeading,
    /// Every subscriber acknowledged and the store confirmed the release.
    Released,
    /// The lease was not released, so it expires on its own. A subscriber did not acknowledge in time or died
    /// before it acknowledged, or the store did not confirm the release.
    LeftToExpire,
}
