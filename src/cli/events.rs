//! `lucida events`: lists the events that a plugin such as `webhook` has not taken, and has them delivered again.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use lucida_core::{EventId, OutboxEvent};
use lucida_library::DeadEvents;

use super::config_args::ConfigArgs;
use super::outcome::{Outcome, print};
use crate::registry::Registry;
use crate::{app, telemetry};

/// How many events are listed.
const LISTED: usize = 100;

#[derive(Args)]
pub(super) struct EventsArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: Option<EventsCommand>,
}

#[derive(Subcommand)]
enum EventsCommand {
    /// Lists the events that were given up, the oldest first; the default
    List,
    /// Has an event delivered again by the running servers, or all that were given up
    Retry(Which),
    /// Deletes an event that was given up, or all of them
    Discard(Which),
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The event's id, as the list has it
    id: Option<EventId>,
    /// All events that were given up
    #[arg(long)]
    all: bool,
}

impl Which {
    /// Returns the id of the one event; `None` for all of them.
    fn id(&self) -> Option<&EventId> {
        self.id.as_ref().filter(|_| !self.all)
    }
}

/// Lists the events that were given up, or changes them; servers may be running.
pub(super) async fn run(registry: &Registry, args: EventsArgs) -> Outcome {
    let config = args.config.load(registry, [])?;
    telemetry::start_logs(&config.log)?;
    let events = DeadEvents::new(app::open_metadata(registry, &config).await?);
    match args.command.unwrap_or(EventsCommand::List) {
        EventsCommand::List => list(&events).await,
        EventsCommand::Retry(which) => match which.id() {
            Some(id) => {
                events.retry(id).await?;
                print(&format!("event {id} is delivered again\n"))
            }
            None => {
                let retried = events.retry_all().await?;
                print(&format!("{retried} events are delivered again\n"))
            }
        },
        EventsCommand::Discard(which) => match which.id() {
            Some(id) => {
                events.discard(id).await?;
                print(&format!("event {id} is deleted\n"))
            }
            None => {
                let discarded = events.discard_all().await?;
                print(&format!("{discarded} events are deleted\n"))
            }
        },
    }
}

async fn list(events: &DeadEvents) -> Outcome {
    let mut dead = events.list(LISTED + 1).await?;
    if dead.is_empty() {
        return print("no event was given up\n");
    }
    let has_more = dead.len() > LISTED;
    dead.truncate(LISTED);
    let mut out = String::new();
    for event in &dead {
        // Writing to a string can't fail.
        let _ = writeln!(out, "{}", line(event));
    }
    if has_more {
        out.push_str("… and more\n");
    }
    print(&out)
}

/// Describes an event that was given up.
pub(super) fn line(event: &OutboxEvent) -> String {
    let OutboxEvent {
        id,
        subscriber,
        photo_id,
        kind,
        created_at,
        attempts,
        error,
        ..
    } = event;
    let reason = error.as_deref().unwrap_or("no reason is stored");
    format!("{id}  {subscriber}  photo {photo_id} {kind} at {created_at:.0}, {attempts} attempts: {reason}")
}
