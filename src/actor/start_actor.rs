use std::io;

use actix::{Actor, Addr, Context};

use crate::runtime;

/// Starts an actor on a thread of this crate, for programs without an actix system, as under
/// `#[tokio::main]`.
///
/// All actors that are started so share one thread. Locks run on another, so a slow actor does not delay
/// them.
///
/// # Errors
/// If the operating system refuses a thread.
///
/// # Examples
///
/// ```
/// # use actix::{Actor, Context};
/// struct Worker;
///
/// impl Actor for Worker {
///     type Context = Context<Self>;
/// }
///
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// let worker = tenure::start_actor(|_| Worker)?;
/// assert!(worker.connected());
/// # Ok(())
/// # }
/// ```
pub fn start_actor<A>(
    make: impl FnOnce(&mut Context<A>) -> A + Send + 'static,
) -> io::Result<Addr<A>>
where
    A: Actor<Context = Context<A>>,
{
    // Not the system of the locks: an actor may stop the system that it runs in.
    let actors = runtime::actors()?;
    Ok(A::start_in_arbiter(&actors, make))
}
