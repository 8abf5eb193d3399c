use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus},
};

use milepost_core::{Renew, Store};
use milepost_layers::{Deadly, Death};
use milepost_store_memory::MemoryStore;

use crate::world::Writer;

const VARIABLE: &str = "MILEPOST_LAYERS_DIES";

/// Not a test of its own: what the processes run that die. Outside of one it has nothing to do.
#[tokio::test]
async fn child() {
    let Ok(death) = std::env::var(VARIABLE) else { return };
    let store = Deadly::new(MemoryStore::new(), death.parse().ok());
    let mut writer = Writer::open(&store, "a").await;
    store.renew(&writer.run, Renew::new(writer.fence, std::time::Duration::from_secs(1))).await.unwrap();
    store.commit(writer.next("x")).await.unwrap();
    let answers = store.commit_many(vec![writer.next("x")]).await;
    assert!(answers[0].is_ok());
}

fn process(death: Death) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let command = command.args(["--exact", "deadly::child"]).env(VARIABLE, death.to_string());
    command.output().unwrap().status
}

#[test]
fn a_process_dies_at_the_write_that_it_was_told() {
    for death in [Death::Before(1), Death::After(1), Death::Before(2), Death::After(3)] {
        assert_eq!(process(death).signal(), Some(9), "{death}");
    }
    assert!(process(Death::Before(4)).success(), "it has three writes, and a renewal is none");
}
