//! Making a failing history short: leave steps out, and parts of steps, as long as it still fails (delta debugging,
//! Zeller and Hildebrandt 2002).

use super::step::Step;

/// The shortest history that was found, and how it fails, from `steps`, which failed as `failure` tells. `fails` plays a
/// history, and gives up with `Err` when there is no more time.
pub(crate) async fn shrink<F, Played>(
    mut steps: Vec<Step>,
    mut failure: F,
    mut fails: impl FnMut(Vec<Step>) -> Played,
) -> (Vec<Step>, F)
where
    Played: Future<Output = Result<Option<F>, OutOfTime>>,
{
    let mut chunk = steps.len().div_ceil(2);
    while chunk > 0 {
        let mut from = 0;
        let mut shorter = false;
        while from < steps.len() {
            let mut rest = steps.clone();
            rest.drain(from..(from + chunk).min(steps.len()));
            match fails(rest.clone()).await {
                Ok(Some(still)) => (steps, failure, shorter) = (rest, still, true),
                Ok(None) => from += chunk,
                Err(OutOfTime) => return (steps, failure),
            }
        }
        // One by one until nothing more can go.
        chunk = if chunk == 1 && shorter { 1 } else { chunk / 2 };
    }
    let mut index = 0;
    'steps: while index < steps.len() {
        for simpler in steps[index].simpler() {
            let mut rest = steps.clone();
            rest[index] = simpler;
            match fails(rest.clone()).await {
                Ok(Some(still)) => {
                    (steps, failure) = (rest, still);
                    continue 'steps;
                }
                Ok(None) => {}
                Err(OutOfTime) => return (steps, failure),
            }
        }
        index += 1;
    }
    (steps, failure)
}

/// There is no more time to make a history short.
#[derive(Debug)]
pub(crate) struct OutOfTime;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use milepost_layers::Fate;

    use super::*;
    use crate::oracle::step::{Act, Way};

    fn history(runs: impl IntoIterator<Item = usize>) -> Vec<Step> {
        let step =
            |run| Step { handle: 0, run, nonce: run as u64, way: Way::Through(Fate::Done), act: Act::Head };
        runs.into_iter().map(step).collect()
    }

    fn nonces(steps: &[Step]) -> Vec<u64> {
        steps.iter().map(|step| step.nonce).collect()
    }

    #[test]
    fn what_a_failure_does_not_need_is_left_out() {
        for needed in [vec![0], vec![63], vec![3, 40], vec![7, 8, 9], (0..64).collect()] {
            let fails = |steps: Vec<Step>| {
                let nonces = nonces(&steps);
                let fails = needed.iter().all(|nonce| nonces.contains(nonce));
                async move { Ok(fails.then_some(nonces)) }
            };
            let (steps, failure) = shrink(history(0..64), vec![], fails).now_or_never().unwrap();
            assert_eq!(nonces(&steps), needed);
            assert!(failure.is_empty() || failure == needed, "{failure:?}");
            assert!(
                steps.iter().all(|step| step.run == 0 || needed.len() == 64),
                "the steps are simpler too"
            );
        }
    }

    #[test]
    fn it_stops_when_time_is_up() {
        let mut left = 3;
        let fails = |steps: Vec<Step>| {
            left -= 1;
            let told =
                if left == 0 { Err(OutOfTime) } else { Ok((steps.len() >= 16).then_some(steps.len())) };
            async move { told }
        };
        let (steps, failure) = shrink(history(0..64), 64, fails).now_or_never().unwrap();
        assert_eq!((steps.len(), failure), (32, 32));
    }
}
