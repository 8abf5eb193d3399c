//! Ceph's object gateway: a production S3 server, which checks signatures. Large, so by request only.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, bail};

use crate::account::Account;
use crate::daemon::{Daemon, Launch};
use crate::home::{Home, Left};
use crate::kind::Server;
use crate::run::run;
use crate::tools::Tools;
use crate::{answer, port};

const TOOLS: Tools = Tools {
    programs: &["ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin"],
    folders: &["/usr/bin"],
    debian: &["ceph-common", "ceph-mon", "ceph-osd", "radosgw"],
};

/// Makes the one signed request that is needed before the tests begin.
const CURL: Tools = Tools { programs: &["curl"], folders: &["/usr/bin"], debian: &["curl"] };

const BUCKET: &str = "milepost";
const KEY: &str = "milepost-key";
const SECRET: &str = "milepost-secret";

/// Seconds that a command of Ceph may take: on a cluster that is not well they wait for ever.
const LIMIT: &str = "60";

/// A Ceph of one monitor and one file-backed store, with the gateway in front, and one bucket.
#[derive(Debug)]
pub struct Radosgw {
    /// In the order in which they start: monitor, store, gateway.
    daemons: [Daemon; 3],
    home: Arc<Home>,
    address: SocketAddr,
}

impl Radosgw {
    /// Makes the cluster, starts it, and makes the user and the bucket. Takes some 20 s, and 40 more where Ceph has to be
    /// installed first.
    ///
    /// # Errors
    ///
    /// When Ceph cannot be had, with the command that installs it; when it does not come up, with what it said.
    pub fn start() -> anyhow::Result<Self> {
        let tools = TOOLS.folder()?;
        let curl = CURL.program("curl")?;
        let home = Arc::new(Home::new("radosgw")?);
        let ports = [port::free()?, port::free()?, port::free()?];
        if ports[0] == ports[1] || ports[1] == ports[2] || ports[0] == ports[2] {
            bail!("the ports that were found free are the same; try again");
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[2]));
        let ceph = Ceph { tools, home: home.clone() };
        ceph.configure(ports)?;
        ceph.make_monitor(ports)?;
        let monitor = ceph.start("ceph-mon", &["-i", "a"], ceph.monitor_answers())?;
        ceph.make_store()?;
        let store = ceph.start("ceph-osd", &["-i", "0"], |_| true)?;
        ceph.make_user()?;
        let answers = move |_| answer::http(address, "GET", "/").is_ok();
        let gateway = ceph.start("radosgw", &["-n", "client.rgw.a"], answers)?;
        let server = Self { daemons: [monitor, store, gateway], home, address };
        server.make_bucket(&curl)?;
        Ok(server)
    }

    /// Its address as S3 clients take it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn make_bucket(&self, curl: &Path) -> anyhow::Result<()> {
        // The gateway asks for this header, and not every curl sends it by itself.
        let body = ["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"];
        let signed = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user"];
        let mut command = Command::new(curl);
        command.args(["--silent", "--show-error", "--fail", "--request", "PUT"]).args(body).args(signed);
        command.arg(format!("{KEY}:{SECRET}")).arg(format!("{}/{BUCKET}", self.endpoint()));
        run(&mut command).context("the bucket cannot be made").map(drop)
    }
}

/// The programs, and the folder that they all work in.
struct Ceph {
    tools: PathBuf,
    home: Arc<Home>,
}

impl Ceph {
    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn run<I: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = I>,
    ) -> anyhow::Result<String> {
        let mut command = Command::new("timeout");
        command.arg(LIMIT).arg(self.tools.join(program));
        if !["ceph-authtool", "monmaptool"].contains(&program) {
            command.arg("-c").arg(self.path("ceph.conf"));
        }
        run(command.args(arguments)).with_context(|| format!("{program} fails"))
    }

    fn start(
        &self,
        program: &str,
        arguments: &[&str],
        ready: impl Fn(u32) -> bool + Send + Sync + 'static,
    ) -> anyhow::Result<Daemon> {
        let mut all = vec!["-c".into(), self.path("ceph.conf").into_os_string(), "-f".into()];
        all.extend(arguments.iter().map(Into::into));
        let launch = Launch {
            name: program.to_owned(),
            program: self.tools.join(program),
            arguments: all,
            environment: Vec::new(),
            account: Account::OWN,
        };
        Daemon::start(self.home.clone(), launch, ready)
    }

    /// Small, on loopback alone, with keys: everything that would wait for a second store or a full disk is off.
    fn configure(&self, [v2, v1, gateway]: [u16; 3]) -> anyhow::Result<()> {
        for folder in ["mon", "osd", "run"] {
            fs::create_dir(self.path(folder))?;
        }
        let id = random_id()?;
        let home = self.home.path().display();
        let text = format!(
            "[global]\n\
             fsid = {id}\n\
             mon host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]\n\
             public addr = 127.0.0.1\n\
             cluster addr = 127.0.0.1\n\
             auth cluster required = cephx\n\
             auth service required = cephx\n\
             auth client required = cephx\n\
             auth allow insecure global id reclaim = false\n\
             keyring = {home}/keyring\n\
             mon data = {home}/mon\n\
             osd data = {home}/osd\n\
             run dir = {home}/run\n\
             crash dir = {home}/run\n\
             admin socket = {home}/run/$name.asok\n\
             log file = {home}/$name.log\n\
             mon cluster log file = {home}/cluster.log\n\
             mon allow pool size one = true\n\
             mon max pg per osd = 1000\n\
             mon data avail warn = 1\n\
             mon data avail crit = 0\n\
             mon osd full ratio = .99\n\
             osd failsafe full ratio = .99\n\
             osd objectstore = bluestore\n\
             bluestore block size = 8589934592\n\
             osd memory target = 939524096\n\
             osd pool default size = 1\n\
             osd pool default min size = 1\n\
             osd pool default pg num = 4\n\
             osd pool default pgp num = 4\n\
             osd pool default pg autoscale mode = off\n\
             osd crush chooseleaf type = 0\n\
             rgw frontends = beast endpoint=127.0.0.1:{gateway}\n\
             rgw override bucket index max shards = 1\n\
             rgw dynamic resharding = false\n"
        );
        fs::write(self.path("ceph.conf"), text).context("cannot write the configuration")
    }

    fn make_monitor(&self, [v2, v1, _]: [u16; 3]) -> anyhow::Result<()> {
        let (keyring, map) = (self.path("keyring"), self.path("monmap"));
        fs::write(&keyring, "")?;
        for (name, rights) in [
            ("mon.", &["mon", "allow *"][..]),
            ("client.admin", &["mon", "allow *", "osd", "allow *", "mgr", "allow *"]),
            ("osd.0", &["mon", "allow profile osd", "osd", "allow *"]),
            ("client.rgw.a", &["mon", "allow *", "osd", "allow *"]),
        ] {
            let mut arguments =
                vec![keyring.clone().into_os_string(), "--gen-key".into(), "-n".into(), name.into()];
            for right in rights.chunks(2) {
                arguments.push("--cap".into());
                arguments.extend(right.iter().map(Into::into));
            }
            self.run("ceph-authtool", arguments)?;
        }
        let addresses = format!("[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]");
        let id = fs::read_to_string(self.path("ceph.conf"))?;
        let id = id.lines().find_map(|line| line.strip_prefix("fsid = ")).context("no fsid")?.to_owned();
        let create = ["--create", "--addv", "a", &addresses, "--fsid", &id].map(OsStr::new);
        self.run("monmaptool", create.into_iter().chain([map.as_os_str()]))?;
        let make = ["--mkfs", "-i", "a", "--monmap"].map(OsStr::new);
        let files = [map.as_os_str(), OsStr::new("--keyring"), keyring.as_os_str()];
        self.run("ceph-mon", make.into_iter().chain(files)).map(drop)
    }

    fn monitor_answers(&self) -> impl Fn(u32) -> bool + Send + Sync + 'static {
        let (ceph, settings) = (self.tools.join("ceph"), self.path("ceph.conf"));
        move |_| {
            let mut command = Command::new(&ceph);
            run(command.arg("-c").arg(&settings).args(["--connect-timeout", "5", "mon", "stat"])).is_ok()
        }
    }

    fn make_store(&self) -> anyhow::Result<()> {
        let id = random_id()?;
        self.run("ceph", ["osd", "new", &id])?;
        self.run("ceph-osd", ["-i", "0", "--mkfs", "--osd-uuid", &id]).map(drop)
    }

    fn make_user(&self) -> anyhow::Result<()> {
        let keys = [format!("--access-key={KEY}"), format!("--secret-key={SECRET}")];
        let user = ["user", "create", "--uid=milepost", "--display-name=milepost"].map(str::to_owned);
        self.run("radosgw-admin", user.into_iter().chain(keys)).map(drop)
    }
}

/// A random UUID of the kernel.
fn random_id() -> anyhow::Result<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/uuid").context("the system gives no random id")?;
    Ok(text.trim().to_owned())
}

impl Server for Radosgw {
    /// The bucket, with endpoint, region and keys as parameters.
    fn url(&self) -> String {
        format!(
            "s3://{BUCKET}?endpoint={}&region=us-east-1&access_key_id={KEY}&secret_access_key={SECRET}&allow_http=1",
            self.endpoint()
        )
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn kill(&self) -> anyhow::Result<()> {
        self.daemons.iter().rev().try_for_each(Daemon::kill)
    }

    fn restart(&self) -> anyhow::Result<()> {
        self.kill()?;
        self.daemons.iter().try_for_each(Daemon::restart)
    }

    fn leave(&self) -> Left {
        self.home.leave();
        let processes = self.daemons.iter().filter_map(Daemon::leave).collect();
        Left { processes, folders: vec![self.home.path().to_owned()] }
    }
}
