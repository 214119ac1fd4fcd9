//! Measures the towers: `embed_rate MODEL [TEXT_MODEL | -] [THREADS] [COUNT]` embeds pictures and texts one by one and several
//! at once, and reports the processor's time and what is resident.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use lucida_core::config::Factory as _;
use lucida_core::{BuildContext, Lane, Picture, Result, embed_image, embed_text};

/// The side of the pictures: what most models take, so that nothing is resized.
const SIDE_PIXELS: u32 = 224;
#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let model = arguments.next().unwrap_or_else(|| "./models/clip".to_owned());
    let text_model = arguments.next().filter(|model| model != "-");
    let threads: usize = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let count: usize = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(80);
    let settings = serde_json::json!({
        "model": model, "text_model": text_model, "threads": threads, "queue_items": 1024, "preload": false,
        "idle_unload_secs": 1, "hub": {"offline": true},
    });
    let start = Start::now();
    let embedder = lucida_candle::factory()
        .build(&settings, &BuildContext::from_env())
        .await?;
    report("open", 1, &start);
    let pictures: Vec<_> = (0..count)
        .map(|number| {
            let side = SIDE_PIXELS + u32::try_from(number).unwrap_or_default();
            Arc::new(Picture::gradient(side, SIDE_PIXELS))
        })
        .collect();
    if embedder.describe().modalities.image {
        let embed = |picture: Arc<Picture>| embed_image(&*embedder, picture, Lane::Interactive);
        let start = Start::now();
        embed(Arc::clone(&pictures[0])).await?;
        report("load, first picture", 1, &start);
        for callers in [1, 8] {
            let start = Start::now();
            let mut vectors = stream::iter(&pictures)
                .map(|picture| embed(Arc::clone(picture)))
                .buffer_unordered(callers);
            while let Some(vector) = vectors.next().await {
                vector?;
            }
            report(&format!("pictures, {callers} at once"), count, &start);
        }
    }
    if embedder.describe().modalities.text {
        let text = |number: usize| format!("a photo of {number} dogs on the beach");
        let embed = |number: usize| embed_text(&*embedder, text(number), Lane::Interactive);
        let start = Start::now();
        embed(0).await?;
        report("load, first text", 1, &start);
        let mut times = Vec::new();
        for number in 0..100 {
            let start = Instant::now();
            embed(number).await?;
            times.push(start.elapsed());
        }
        times.sort();
        println!(
            "{:<28} {:>9.2?} median, {:.2?} the 90th",
            "texts, 1 at once", times[50], times[90]
        );
        for callers in [8, 32] {
            let start = Start::now();
            let mut vectors = stream::iter(0..count * 5).map(embed).buffer_unordered(callers);
            while let Some(vector) = vectors.next().await {
                vector?;
            }
            report(&format!("texts, {callers} at once"), count * 5, &start);
        }
        let long = "a photo of dogs on the beach ".repeat(40);
        let start = Start::now();
        for _ in 0..20 {
            embed_text(&*embedder, long.clone(), Lane::Interactive).await?;
        }
        report("texts cut at the limit", 20, &start);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    report("unloaded", 1, &Start::now());
    Ok(())
}

/// When something started, on the clock and in the process's own time on the processor.
struct Start {
    clock: Instant,
    processor: Duration,
}

impl Start {
    fn now() -> Self {
        Self {
            clock: Instant::now(),
            processor: processor_time(),
        }
    }
}

fn report(what: &str, count: usize, start: &Start) {
    let elapsed = start.clock.elapsed();
    let each = |time: Duration| time / u32::try_from(count).unwrap_or(1);
    let rate = count as f64 / elapsed.as_secs_f64();
    println!(
        "{what:<24} {:>9.2?} each, {rate:>6.1}/s, processor {:>9.2?} each, resident {}",
        each(elapsed),
        each(processor_time() - start.processor),
        resident()
    );
}

/// Returns what this process has had of the processor, to a hundredth of a second.
fn processor_time() -> Duration {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything, the 12th and the 13th are the ticks in user and in system mode.
    let fields = status.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// Reports what of the process is in memory, and how much of that is mapped files, which other processes share.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let megabytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kilobytes.map_or_else(|| "?".to_owned(), |kilobytes| format!("{} MB", kilobytes / 1024))
    };
    format!("{}, of files {}", megabytes("VmRSS:"), megabytes("RssFile:"))
}
