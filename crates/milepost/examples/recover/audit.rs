//! Reads every log afterwards, and counts.

use std::collections::{BTreeMap, HashMap};

use futures_util::TryStreamExt;
use milepost::{BoxError, Head, Runner, Span};

use crate::{Delivered, Options, receiver::Receiver};

pub(crate) async fn audit(
    runner: &Runner,
    heads: &[Head],
    options: &Options,
    receiver: &Receiver,
) -> Result<(), BoxError> {
    let (mut takeovers, mut interrupted) = (0, 0);
    let mut report = BTreeMap::new();
    for head in heads {
        takeovers += head.fence.epoch - 1;
        interrupted += interrupted_steps(runner, head).await?;
        let delivered: Delivered = runner.output(&head.run).await?;
        let expected = (1..=options.parcels).map(|n| format!("done: parcel {n} of {}", head.run));
        if !expected.eq(delivered.receipts.iter().cloned()) {
            return Err(format!("run {} has the receipts {:?}", head.run, delivered.receipts).into());
        }
        report.insert(head.run.as_str().to_owned(), delivered);
    }
    if let Some(file) = &options.report {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)?;
    }
    let (parcels, again) = receiver.count();
    println!("All {} runs have completed; they changed hands {takeovers} times.", heads.len());
    println!(
        "No finished step ran again, and no two workers drove one run: in every log the epochs only grow."
    );
    println!(
        "{interrupted} steps were under way when their worker died, and were tried again by another one."
    );
    println!(
        "The receiver has {parcels} parcels. {again} came a second time, and it knew them by their keys."
    );
    Ok(())
}

/// How many steps were begun more than once; an error if one was begun after it had finished, or two owners wrote at once.
async fn interrupted_steps(runner: &Runner, head: &Head) -> Result<u32, BoxError> {
    let (mut epoch, mut began) = (0, HashMap::<String, u32>::new());
    let mut interrupted = 0;
    let mut records = runner.store().stream(&head.run, Span::all());
    while let Some(record) = records.try_next().await? {
        let body: serde_json::Value = serde_json::from_slice(&record.body)?;
        let writer = body["epoch"].as_u64().unwrap_or_default();
        if writer < epoch {
            return Err(format!("run {}: an older owner wrote after a newer one", head.run).into());
        }
        epoch = writer;
        let at = |event: &str| body["event"][event]["at"].as_str().map(String::from);
        if let Some(at) = at("step-began") {
            *began.entry(at).or_default() += 1;
        } else if let Some(at) = at("step-done") {
            // One that is begun after it was done stays in the table.
            interrupted += began.remove(&at).unwrap_or_default().saturating_sub(1);
        }
    }
    match began.len() {
        0 => Ok(interrupted),
        _ => Err(format!("run {}: a finished step was begun again", head.run).into()),
    }
}
