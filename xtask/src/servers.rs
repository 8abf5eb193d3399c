//! The servers that the backends need: given by the environment, or started once and shared by every test.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::bail;
use milepost_servers::{Kind, Server};

use crate::console::Console;

/// What has been started so far. Dropped, it stops all of it.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    running: RefCell<BTreeMap<Kind, Box<dyn Server>>>,
}

impl Servers {
    /// The URL of a server of this kind, which is started if it is not there yet.
    pub(crate) fn url(&self, kind: Kind) -> anyhow::Result<String> {
        if let Some(url) = kind.given() {
            return Ok(url);
        }
        if let Some(server) = self.running.borrow().get(&kind) {
            return Ok(server.url());
        }
        let server = kind.start()?;
        let url = server.url();
        self.running.borrow_mut().insert(kind, server);
        Ok(url)
    }

    /// Lets everything that was started go on after us, and says how it is reached and stopped.
    pub(crate) fn leave(self, console: &Console) {
        for (kind, server) in self.running.into_inner() {
            console.line(&export(kind, &server.url()));
            console.line(&format!("# stop it: {}", server.leave().stop_command()));
        }
    }
}

/// A line for a shell.
pub(crate) fn export(kind: Kind, url: &str) -> String {
    format!("export {}='{url}'", kind.variable())
}

/// The kinds of these names; the error lists those that there are.
pub(crate) fn named(names: &[String]) -> anyhow::Result<Vec<Kind>> {
    let one = |name: &String| {
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == name) else {
            let known: Vec<_> = Kind::ALL.map(Kind::name).into();
            bail!("there is no server `{name}`: it is one of {}", known.join(", "));
        };
        Ok(kind)
    };
    names.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_server_is_refused_with_the_known_ones() {
        assert_eq!(named(&["redis".to_owned()]).unwrap(), [Kind::Redis]);
        let error = named(&["mysql".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("postgres, pgbouncer, redis, redis-cluster, s3"), "{error}");
    }

    #[test]
    fn a_url_is_exported_so_that_a_shell_leaves_it_alone() {
        let line = export(Kind::S3, "s3://b?endpoint=http://127.0.0.1:1&region=x");
        assert_eq!(line, "export MILEPOST_TEST_S3_URL='s3://b?endpoint=http://127.0.0.1:1&region=x'");
    }
}
