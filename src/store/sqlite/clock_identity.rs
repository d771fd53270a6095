use std::{fs, sync::OnceLock};

use rand::RngExt as _;

/// The name of the clock that this process reads with `BootClock`. Two processes with the same name
/// read the same clock.
pub(super) fn of_boot_clock() -> &'static str {
    static IDENTITY: OnceLock<String> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        on_linux().unwrap_or_else(|| {
            // Nothing identifies this clock, so the clock of every other process counts as foreign.
            format!("process {:032x}", rand::rng().random::<u128>())
        })
    })
}

/// Boot id, time namespace and its offset.
fn on_linux() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let boot = boot.trim();
    if boot.is_empty() {
        return None;
    }
    let namespace = fs::read_link("/proc/self/ns/time");
    let namespace = namespace.map_or_else(|_| "none".into(), |link| link.display().to_string());
    // The kernel reuses the inode number in the link for a namespace with another offset.
    let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    let offset = offsets
        .lines()
        .filter_map(|line| line.strip_prefix("boottime"))
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(".");
    Some(format!("{boot} {namespace} {offset}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_of_the_boot_clock_stays_within_a_process() {
        assert!(!of_boot_clock().is_empty());
        assert_eq!(of_boot_clock(), of_boot_clock());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn on_linux_the_identity_holds_the_boot_the_time_namespace_and_its_offset() {
        let identity = on_linux().unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert!(identity.starts_with(boot.trim()), "{identity}");
        assert_eq!(identity.split(' ').count(), 3, "{identity}");
        assert_eq!(of_boot_clock(), identity);
    }
}
