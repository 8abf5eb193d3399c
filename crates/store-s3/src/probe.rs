//! Whether a place keeps its word on create-only puts, tried before anything is trusted to it.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::future::join_all;
use milepost_core::{Error, ErrorKind, Ids, Result};

use crate::objects::Objects;

/// So many create the same object at once.
const RACERS: u64 = 16;

/// What this process has tried already: how a place keeps its word does not change with the folder in it.
static TRIED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn careless() -> Error {
    Error::new(
        ErrorKind::Config,
        "the object store does not keep conditional creates (If-None-Match: *), without which two workers could drive one \
         run; use one that does, such as Amazon S3, Google Cloud Storage, Azure, Ceph or MinIO",
    )
}

/// Tries the place once a process; `place` tells it from others.
///
/// # Errors
///
/// `Config` for a place that ignores or races the condition, and whatever it says.
pub(crate) async fn probe(objects: &dyn Objects, place: String, ids: &dyn Ids) -> Result<()> {
    if TRIED.lock().unwrap_or_else(PoisonError::into_inner).contains(&place) {
        return Ok(());
    }
    try_it(objects, ids).await?;
    TRIED.lock().unwrap_or_else(PoisonError::into_inner).insert(place);
    Ok(())
}

async fn try_it(objects: &dyn Objects, ids: &dyn Ids) -> Result<()> {
    let names = [ids.bits(), ids.bits()].map(|bits| format!("probe/{bits:032x}"));
    let kept = match one_after_another(objects, &names[0]).await {
        Ok(true) => all_at_once(objects, &names[1]).await,
        other => other,
    };
    // What cannot be removed is a few bytes that nobody looks at.
    let _ = objects.delete(names.to_vec()).await;
    if kept? { Ok(()) } else { Err(careless()) }
}

async fn one_after_another(objects: &dyn Objects, name: &str) -> Result<bool> {
    let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
    let created = objects.create(name, first.clone()).await?;
    let again = objects.create(name, second).await?;
    Ok(created && !again && objects.get(name).await? == Some(first))
}

async fn all_at_once(objects: &dyn Objects, name: &str) -> Result<bool> {
    let body = |racer: u64| Bytes::copy_from_slice(&racer.to_le_bytes());
    let creates = (0..RACERS).map(|racer| objects.create(name, body(racer)));
    let created = join_all(creates).await.into_iter().collect::<Result<Vec<bool>>>()?;
    let winners: Vec<u64> = (0..).zip(created).filter(|(_, won)| *won).map(|(racer, _)| racer).collect();
    Ok(winners.len() == 1 && objects.get(name).await? == Some(body(winners[0])))
}

#[cfg(test)]
mod tests {
    use milepost_core::SystemIds;

    use super::*;
    use crate::objects::{Care, Memory};

    #[tokio::test]
    async fn a_place_that_ignores_or_races_the_condition_is_refused() {
        for (care, kept) in [(Care::Keeps, true), (Care::Ignores, false), (Care::Races, false)] {
            let place = Memory::with(care);
            let probed = try_it(&place, &SystemIds).await;
            assert_eq!(probed.is_ok(), kept, "{care:?}: {probed:?}");
            if let Err(error) = probed {
                assert_eq!(error.kind(), ErrorKind::Config);
                assert!(error.to_string().contains("If-None-Match"), "{error}");
            }
            assert!(place.objects().is_empty(), "the probe leaves nothing behind");
        }
    }
}
