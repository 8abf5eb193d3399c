//! An S3 server: the object store of the Python package `ministack`, which keeps its word on conditional creates.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::bail;

use crate::account::Account;
use crate::daemon::{Daemon, Launch};
use crate::home::{Home, Left};
use crate::kind::Server;
use crate::{answer, port, python};

/// The version that was tried: one winner of racing creates, and nothing acknowledged is lost to a kill.
const PACKAGE: &str = "ministack==1.5.33";

/// The bucket that is there from the beginning.
const BUCKET: &str = "milepost";

/// An S3 server with one bucket. It takes any key and does not check signatures.
#[derive(Debug)]
pub struct Ministack {
    daemon: Daemon,
    home: Arc<Home>,
    address: SocketAddr,
}

impl Ministack {
    /// Starts it, its objects kept on disk, and makes the bucket.
    ///
    /// # Errors
    ///
    /// When it cannot be had, with what to install; when it does not come up, with what it said.
    pub fn start() -> anyhow::Result<Self> {
        let program = python::environment(PACKAGE)?.join("bin").join("ministack");
        let home = Arc::new(Home::new("s3")?);
        let objects = home.path().join("objects");
        fs::create_dir(&objects)?;
        let port = port::free()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let environment: Vec<(&'static str, OsString)> = vec![
            ("BIND_HOST", Ipv4Addr::LOCALHOST.to_string().into()),
            ("GATEWAY_PORT", port.to_string().into()),
            ("SERVICES", "s3".into()),
            ("S3_PERSIST", "1".into()),
            ("S3_DATA_DIR", objects.into()),
            // Whatever else it writes ends with its folder, too.
            ("HOME", home.path().into()),
            ("TMPDIR", home.path().into()),
        ];
        let launch = Launch {
            name: "ministack".to_owned(),
            program,
            arguments: Vec::new(),
            environment,
            account: Account::OWN,
        };
        let ready =
            move |_| answer::http(address, "GET", "/_ministack/health").is_ok_and(|status| status == 200);
        let daemon = Daemon::start(home.clone(), launch, ready)?;
        let server = Self { daemon, home, address };
        match answer::http(address, "PUT", &format!("/{BUCKET}"))? {
            200 => Ok(server),
            status => bail!("the bucket {BUCKET} cannot be made: status {status}"),
        }
    }

    /// Its address as S3 clients take it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bucket that is there from the beginning.
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }
}

impl Server for Ministack {
    /// The bucket, with endpoint, region and keys as parameters.
    fn url(&self) -> String {
        format!(
            "s3://{BUCKET}?endpoint={}&region=us-east-1&access_key_id=test&secret_access_key=test&allow_http=1",
            self.endpoint()
        )
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn kill(&self) -> anyhow::Result<()> {
        self.daemon.kill()
    }

    fn restart(&self) -> anyhow::Result<()> {
        self.daemon.restart()
    }

    fn leave(&self) -> Left {
        self.home.leave();
        Left {
            processes: self.daemon.leave().into_iter().collect(),
            folders: vec![self.home.path().to_owned()],
        }
    }
}
