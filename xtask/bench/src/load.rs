//! A closed loop: so many clients, each with one request under way, for a while.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;
use tokio::task::JoinSet;

use crate::statistics::Latencies;

/// How long a loop runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    /// Requests begin for this long; those under way at the end don't count for the rate.
    For(Duration),
    /// Requests begin for this long, and all count, over the time until the last is answered: for those that may take
    /// longer than that.
    Drained(Duration),
    /// This many requests in all.
    Requests(usize),
}

/// What a loop gave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Requests answered per second.
    pub(crate) per_second: f64,
    /// How long each took.
    pub(crate) latencies: Latencies,
}

impl Outcome {
    /// Computes the rate over `window` from when each request was answered, as time since the start.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
    pub(crate) fn of(answers: Vec<Answer>, window: Duration) -> Self {
        let counted = answers.iter().filter(|answer| answer.at <= window).count();
        Self {
            per_second: counted as f64 / window.as_secs_f64(),
            latencies: Latencies::new(answers.into_iter().map(|answer| answer.latency).collect()),
        }
    }
}

/// When one request was answered, since the start of the loop, and how long it took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) at: Duration,
    pub(crate) latency: Duration,
}

/// Runs one loop for each of `clients`; `request` gets the client and the number of the request, counted over all.
pub(crate) async fn closed_loop<C, R>(
    clients: &[C],
    length: Length,
    request: impl Fn(&C, usize) -> R,
) -> Result<Outcome>
where
    R: Future<Output = Result<()>>,
{
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let client_loop = async |client: &C| {
        let mut answers = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let go_on = match length {
                Length::For(time) | Length::Drained(time) => started.elapsed() < time,
                Length::Requests(count) => number < count,
            };
            if !go_on {
                return Ok::<_, anyhow::Error>(answers);
            }
            let begun = Instant::now();
            request(client, number).await?;
            answers.push(Answer {
                at: started.elapsed(),
                latency: begun.elapsed(),
            });
        }
    };
    let answers = try_join_all(clients.iter().map(client_loop)).await?.concat();
    let window = match length {
        Length::For(time) => time,
        Length::Drained(_) | Length::Requests(_) => started.elapsed(),
    };
    Ok(Outcome::of(answers, window))
}

/// Begins requests at a fixed rate for a while, whether earlier ones are answered or not, and waits for all of them.
pub(crate) async fn open_loop<R>(
    per_second: f64,
    time: Duration,
    request: impl Fn(usize) -> R,
) -> Result<Vec<R::Output>>
where
    R: Future<Output: Send> + Send + 'static,
{
    let started = Instant::now();
    let mut under_way = JoinSet::new();
    let mut answers = Vec::new();
    for number in 0.. {
        #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
        let due = Duration::from_secs_f64(number as f64 / per_second);
        if due >= time {
            break;
        }
        tokio::time::sleep_until((started + due).into()).await;
        under_way.spawn(request(number));
        while let Some(answer) = under_way.try_join_next() {
            answers.push(answer?);
        }
    }
    while let Some(answer) = under_way.join_next().await {
        answers.push(answer?);
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn each_request_is_made_once_by_some_client() {
        let seen = RefCell::new(Vec::new());
        let seen_by = &seen;
        let outcome = closed_loop(&["a", "b", "c"], Length::Requests(10), |_, number| async move {
            tokio::task::yield_now().await;
            seen_by.borrow_mut().push(number);
            Ok(())
        })
        .await
        .unwrap();
        seen.borrow_mut().sort_unstable();
        assert_eq!(*seen.borrow(), (0..10).collect::<Vec<_>>());
        assert!(outcome.per_second > 0.0);
    }

    #[tokio::test]
    async fn a_request_that_fails_ends_the_loop_with_its_error() {
        let outcome = closed_loop(
            &[(), ()],
            Length::For(Duration::from_secs(60)),
            |(), number| async move {
                anyhow::ensure!(number < 5, "request {number} failed");
                tokio::task::yield_now().await;
                Ok(())
            },
        );
        assert_eq!(outcome.await.unwrap_err().to_string(), "request 5 failed");
    }

    #[tokio::test]
    async fn what_is_answered_after_the_time_counts_when_the_loop_is_drained() {
        let time = Duration::from_millis(200);
        let request = |(): &(), _| async move {
            tokio::time::sleep(time * 3 / 2).await;
            Ok(())
        };
        let cut = closed_loop(&[(), ()], Length::For(time), request).await.unwrap();
        assert!(cut.per_second < f64::EPSILON);
        let drained = closed_loop(&[(), ()], Length::Drained(time), request)
            .await
            .unwrap();
        let most = 2.0 / (time * 3 / 2).as_secs_f64();
        assert!(
            drained.per_second > 0.0 && drained.per_second <= most,
            "{}",
            drained.per_second
        );
    }

    #[tokio::test]
    async fn an_open_loop_waits_for_no_answer_before_it_goes_on() {
        let all_begun = std::sync::Arc::new(tokio::sync::Barrier::new(5));
        let request = |number| {
            let all_begun = std::sync::Arc::clone(&all_begun);
            async move {
                all_begun.wait().await;
                number
            }
        };
        let mut answers = open_loop(1000.0, Duration::from_micros(4500), request)
            .await
            .unwrap();
        answers.sort_unstable();
        assert_eq!(answers, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn answers_after_the_window_do_not_count_for_the_rate() {
        let answer = |at| Answer {
            at: Duration::from_secs(at),
            latency: Duration::from_secs(1),
        };
        let outcome = Outcome::of(vec![answer(1), answer(2), answer(3)], Duration::from_secs(2));
        assert!((outcome.per_second - 1.0).abs() < f64::EPSILON);
        assert!((outcome.latencies.percentile_ms(100) - 1000.0).abs() < 1e-9);
    }
}
