//! Certificates, for servers that speak TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::Context;
use tempfile::TempDir;

use crate::account::Account;
use crate::run::run;
use crate::scratch::scratch;
use crate::tools::Tools;

const TOOLS: Tools = Tools { programs: &["openssl"], folders: &["/usr/bin"], debian: &["openssl"] };

/// What openssl is told beside its arguments, so that no configuration of the machine has a say.
const CONFIGURATION: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
CN = localhost
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[server]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost
";

/// A certificate authority that nobody knows, and the certificate that it gives to a server: for `localhost`, and not for
/// 127.0.0.1. A cheap clone; the files go with the last one.
#[derive(Clone, Debug)]
pub struct Certificates {
    folder: Arc<TempDir>,
}

impl Certificates {
    /// Makes the keys and the certificates, good for two days.
    ///
    /// # Errors
    ///
    /// When there is no openssl, with the command that installs it; what it says.
    pub fn make() -> anyhow::Result<Self> {
        let program = TOOLS.program("openssl")?;
        let folder = TempDir::with_prefix_in("milepost-certificates-", scratch())?;
        fs::write(folder.path().join("openssl.cnf"), CONFIGURATION)?;
        let openssl = |arguments: &str| {
            let mut command = Command::new(&program);
            run(command.current_dir(folder.path()).args(arguments.split(' '))).map(drop)
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config openssl.cnf";
        openssl(&format!("req -x509 {key} -extensions root -days 2 -keyout root.key -out root.pem"))?;
        openssl(&format!("req {key} -keyout server.key -out server.csr"))?;
        openssl(
            "x509 -req -in server.csr -CA root.pem -CAkey root.key -CAcreateserial -days 2 -extfile openssl.cnf \
             -extensions server -out server.pem",
        )?;
        Ok(Self { folder: Arc::new(folder) })
    }

    /// The root, which a client has to trust.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// Copies the server's certificate and its key to where the server lives.
    pub(crate) fn give(&self, home: &Path, account: Account) -> anyhow::Result<[PathBuf; 2]> {
        let copied = ["server.pem", "server.key"].map(|name| {
            let copy = home.join(name);
            fs::copy(self.folder.path().join(name), &copy)
                .with_context(|| format!("cannot copy {name} to {}", home.display()))?;
            account.own(&copy)?;
            anyhow::Ok(copy)
        });
        let [certificate, key] = copied;
        Ok([certificate?, key?])
    }
}
