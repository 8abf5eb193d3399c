//! A tree as it is drawn from the logs.

use std::time::Duration;

use milepost_core::{Commit, Kind, NewRecord, Store, Wake};

use crate::{
    support::{Run, World, *},
    tree::Served,
};

on_every_store! {
    the_tree_is_a_picture,
    an_end_without_a_beginning_is_corrupt,
}

async fn the_tree_is_a_picture(world: &World) {
    let runner = world.runner();
    let runner = runner.handler("leaf", |run: Run, waits: bool| async move {
        run.note(1, Some(4), "parcels");
        if waits {
            run.signal::<()>("go").await?;
        }
        run.spend("stamps", 3);
        Work::Ok(())
    });
    let runner =
        runner.handler("bad", |_: Run, (): ()| async move { Work::<()>::Err("no such street".into()) });
    let runner = runner.handler("middle", |run: Run, (): ()| async move {
        run.child::<()>("leaf", "leaf", &false).budget(5).await?;
        run.child::<()>("waits", "leaf", &true).budget(6).await?;
        Work::Ok(())
    });
    let runner = runner.handler("root", |run: Run, (): ()| async move {
        let middle = run.child::<()>("first", "middle", &()).budget(40).spawn().await;
        run.child::<()>("second", "bad", &()).await.unwrap_err();
        run.child::<()>("first", "middle", &()).await.unwrap_err();
        middle.join().await?;
        Work::Ok(())
    });
    let _served = Served::new(&runner);
    runner.start(id("tree"), "root", &()).budget(100).await.unwrap();
    let picture = "\
tree (root)  waiting  used 0 of 100, 40 with its children
├─ first (middle)  waiting  used 3 of 40, 6 with its children
│  ├─ leaf  completed  1/4 parcels  used 3 of 5
│  └─ waits (leaf)  waiting  1/4 parcels  used 0 of 6
└─ second (bad)  failed: no such street";
    let mut tree = runner.tree(&id("tree")).await.unwrap();
    for _ in 0..1000 {
        if tree.to_string() == picture {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        tree = runner.tree(&id("tree")).await.unwrap();
    }
    assert_eq!(tree.to_string(), picture);
    assert_eq!((tree.size(), tree.count(Status::Waiting), tree.count(Status::Completed)), (4, 2, 1));
}

async fn an_end_without_a_beginning_is_corrupt(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        run.signal::<()>("go").await?;
        Work::Ok(())
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    let open = milepost_core::Open::resume(milepost_core::Ids::operation(&milepost_core::SystemIds));
    let opened = world.store.open(&id("r"), open.over(world.head(&id("r")).await.fence)).await.unwrap();
    let settled =
        r#"{"v":1,"epoch":2,"event":{"child-settled":{"at":"9","end":{"completed":{"json":1}},"used":0}}}"#;
    let operation = milepost_core::Ids::operation(&milepost_core::SystemIds);
    let commit = Commit::new(id("r"), opened.fence, operation, opened.head.version)
        .record(NewRecord::new(Kind::from_static("milepost/run.child-settled"), settled))
        .release(Wake::now());
    world.store.commit(commit).await.unwrap();
    for error in [runner.tree(&id("r")).await.unwrap_err(), runner.resume(&id("r")).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("a child ends at 9 that is not under way"), "{error}");
    }
}
