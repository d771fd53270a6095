use std::io;

use actix::{Actor, Addr, Context};

use crate::runtime;

/// Starts an actor on a thread of the library's own, for programs without an actix system: those
/// under `#[tokio::main]`. It is not the thread of the locks, so the actor may be slow.
///
/// # Errors
/// If the operating system gives no thread.
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
    // A system of its own: an actor may stop the one that it runs in.
    let actors = runtime::actors()?;
    Ok(A::start_in_arbiter(&actors, make))
}
