//! A server that is killed and started again answers at the same place and still has what it acknowledged.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use lucida_test_servers::{Kind, Programs, Server};
use mongodb::bson::{Document, doc};

/// How long RabbitMQ 3.10 keeps the name of a new quorum queue in memory: a queue younger than this is lost in a kill.
const UNTIL_A_QUEUE_IS_WRITTEN: Duration = Duration::from_secs(4);

#[tokio::test]
async fn ferretdb_keeps_its_documents() {
    let Some(programs) = Programs::or_skip(&[Kind::Ferretdb]) else {
        return;
    };
    let mut server = Server::start(Kind::Ferretdb, &programs).unwrap();
    let url = server.url();
    let notes = notes(&url).await;
    notes.insert_one(doc! { "_id": 7, "text": "kept" }).await.unwrap();

    server.kill().unwrap();
    server.start_again().unwrap();
    assert_eq!(server.url(), url);
    let kept = self::notes(&url).await.find_one(doc! { "_id": 7 }).await.unwrap();
    assert_eq!(kept.unwrap().get_str("text").unwrap(), "kept");
}

async fn notes(url: &str) -> mongodb::Collection<Document> {
    let client = mongodb::Client::with_uri_str(url).await.unwrap();
    client.database("kill").collection("notes")
}

#[tokio::test]
async fn rabbitmq_keeps_a_confirmed_message_of_a_quorum_queue() {
    let Some(programs) = Programs::or_skip(&[Kind::Rabbitmq]) else {
        return;
    };
    let mut server = Server::start(Kind::Rabbitmq, &programs).unwrap();
    let url = server.url();
    let (_connection, channel) = channel(&url).await;
    tokio::time::sleep(UNTIL_A_QUEUE_IS_WRITTEN).await;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .unwrap();
    let confirm = channel
        .basic_publish(
            "".into(),
            "jobs".into(),
            BasicPublishOptions::default(),
            b"kept",
            BasicProperties::default().with_delivery_mode(2),
        )
        .await
        .unwrap();
    assert!(confirm.await.unwrap().is_ack());

    server.kill().unwrap();
    server.start_again().unwrap();
    assert_eq!(server.url(), url);
    assert_eq!(first_message(&url).await, b"kept");
}

/// Opens a channel and declares the queue.
async fn channel(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare("jobs".into(), durable, arguments)
        .await
        .unwrap();
    (connection, channel)
}

/// The first message in the queue, which is there as soon as the queue has a leader again.
async fn first_message(url: &str) -> Vec<u8> {
    let (_connection, channel) = channel(url).await;
    for _ in 0..100 {
        let found = channel
            .basic_get("jobs".into(), BasicGetOptions::default())
            .await
            .unwrap();
        if let Some(message) = found {
            return message.data.clone();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the message is lost");
}

#[test]
fn two_of_a_kind_run_side_by_side_and_a_stop_frees_the_place_of_one() {
    let Some(programs) = Programs::or_skip(&[Kind::Rabbitmq]) else {
        return;
    };
    let mut one = Server::start(Kind::Rabbitmq, &programs).unwrap();
    let two = Server::start(Kind::Rabbitmq, &programs).unwrap();
    assert_ne!(one.url(), two.url());
    one.stop().unwrap();
    let log = std::fs::read_to_string(one.log()).unwrap();
    assert!(log.contains("SIGTERM received - shutting down"), "{log}");
    one.start_again().unwrap();
}

#[test]
fn the_stand_in_for_qdrant_starts_again_at_the_same_place() {
    let Some(programs) = Programs::or_skip(&[Kind::QdrantStandIn]) else {
        return;
    };
    let mut server = Server::start(Kind::QdrantStandIn, &programs).unwrap();
    let url = server.url();
    server.kill().unwrap();
    server.start_again().unwrap();
    assert_eq!(server.url(), url);
}
