//! Who a server runs as: PostgreSQL and PgBouncer refuse root.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// An account without privileges, when we have them; otherwise our own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account(Option<(u32, u32)>);

impl Account {
    /// Our own.
    pub(crate) const OWN: Self = Self(None);

    /// The first of the usual accounts that there is, if we are root.
    pub(crate) fn unprivileged() -> anyhow::Result<Self> {
        if !is_root() {
            return Ok(Self::OWN);
        }
        for name in ["postgres", "nobody"] {
            if let Some(ids) = ids_of(name)? {
                return Ok(Self(Some(ids)));
            }
        }
        bail!("the server refuses to run as root, and there is no account `postgres` or `nobody`")
    }

    /// Has a program run under it.
    pub(crate) fn apply(self, command: &mut Command) {
        #[cfg(unix)]
        if let Some((user, group)) = self.0 {
            use std::os::unix::process::CommandExt;
            command.uid(user).gid(group);
        }
    }

    /// Gives it a file or folder.
    pub(crate) fn own(self, path: &Path) -> anyhow::Result<()> {
        #[cfg(unix)]
        if let Some((user, group)) = self.0 {
            std::os::unix::fs::chown(path, Some(user), Some(group))
                .with_context(|| format!("cannot give {} to the server's account", path.display()))?;
        }
        Ok(())
    }
}

/// Whether we may install packages and become somebody else.
pub(crate) fn is_root() -> bool {
    #[cfg(unix)]
    return nix::unistd::geteuid().is_root();
    #[cfg(not(unix))]
    return false;
}

#[cfg(unix)]
fn ids_of(name: &str) -> anyhow::Result<Option<(u32, u32)>> {
    let user = nix::unistd::User::from_name(name)?;
    Ok(user.map(|user| (user.uid.as_raw(), user.gid.as_raw())))
}

#[cfg(not(unix))]
fn ids_of(_name: &str) -> anyhow::Result<Option<(u32, u32)>> {
    Ok(None)
}
