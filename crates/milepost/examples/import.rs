//! The README's twenty lines: an import that goes on where it was.

#![expect(clippy::print_stdout, reason = "it is an example")]

use milepost::{Begin, Checkpoints, Manifest, Result, RunId, RunInfo, Started};

#[tokio::main]
async fn main() -> Result<()> {
    let store = milepost::connect("sqlite:runs.db").await?;
    let orders = ["ant", "bee", "cat"];
    let begin =
        Begin::new(RunId::new("import")?, RunInfo::named("import"), Manifest::of(b"orders")).or_resume();
    match Checkpoints::new(store).begin_state(begin, Vec::<String>::new).await? {
        Started::Driving(mut run) => {
            for order in &orders[run.state().len()..] {
                run.update(|done| done.push(order.to_uppercase())).await?; // durable when it returns
            }
            let imported = run.state().len();
            run.complete(&imported).await?;
            println!("imported {imported} orders");
        }
        Started::Finished(outcome) => println!("nothing left to do: {outcome:?}"),
    }
    Ok(())
}
