//! The scripts: the part that they share before each, and the digests that the server knows them by.

use std::sync::LazyLock;

/// A script, as the server runs it.
pub(crate) struct Script {
    pub(crate) source: String,
    pub(crate) sha: String,
}

impl Script {
    fn new(shared: &str, own: &str) -> Self {
        let source = format!("{shared}\n{own}");
        let sha = sha1_smol::Sha1::from(&source).hexdigest();
        Self { source, sha }
    }
}

macro_rules! scripts {
    ($($NAME:ident = $file:literal),* $(,)?) => {
        $(
            pub(crate) static $NAME: LazyLock<Script> =
                LazyLock::new(|| Script::new(include_str!("lua/common.lua"), include_str!($file)));
        )*
    };
}

/// These stand alone: what the others share takes longer to set up than they run, and a listing on a cluster runs one for
/// each shard.
pub(crate) static APPEND: LazyLock<Script> =
    LazyLock::new(|| Script::new("", include_str!("lua/append.lua")));
pub(crate) static PAGES: LazyLock<Script> = LazyLock::new(|| Script::new("", include_str!("lua/pages.lua")));

scripts! {
    COMMIT = "lua/commit.lua",
    OPEN = "lua/open.lua",
    RENEW = "lua/renew.lua",
    SEND = "lua/send.lua",
    DELETE = "lua/delete.lua",
    HEADS = "lua/heads.lua",
    RECORDS = "lua/records.lua",
    INBOX = "lua/inbox.lua",
    SNAPSHOT = "lua/snapshot.lua",
    BLOB = "lua/blob.lua",
    BLOBS = "lua/blobs.lua",
}
