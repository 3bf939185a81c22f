//! Streams that are not plain sockets, and connections that end while they are idle.

use std::time::Duration;

use ottla::Record;
use ottla::admin::NewTopic;
use ottla::error::Kind;
use ottla::error::Written;
use tokio::time::Instant;

use super::net::Door;
use super::net::Net;
use super::run;
use super::world::TOPIC;
use super::world::World;
use super::world::cluster;
use super::world::soon;

#[test]
fn client_works_over_streams_that_send_nothing_before_a_flush() {
    run(async {
        let mut world = World::new(Net::buffered(cluster())).await;
        for _ in 0..3 {
            world.check().await;
            world.net.cut_all();
        }
    });
}

#[test]
fn request_after_the_brokers_closed_idle_connections_succeeds() {
    run(async {
        let net = Net::new(cluster());
        let client = net.client().connect().await.expect("they answer");
        for round in 0..20 {
            let (admin, asked) = (client.admin(), Instant::now());
            let created = soon("create", admin.create_topics([NewTopic::new(format!("topic-{round}"))])).await;
            created.expect("the request was not sent before, so that sending it is safe");
            assert_eq!(asked.elapsed(), Duration::ZERO, "nothing failed, so there is no back-off");
            tokio::time::sleep(Duration::from_secs(60)).await;
            // Brokers close connections that were idle for `connections.max.idle.ms`; the client may not have noticed yet.
            net.cut_all();
        }
    });
}

#[test]
fn rejected_credentials_fail_calls_at_once_and_dial_at_a_bounded_rate() {
    run(async {
        let net = Net::new(cluster());
        let client = net.client().connect().await.expect("they answer");
        let producer = client.producer().build().expect("the settings are fine");
        soon("send", producer.send(Record::to(TOPIC).value("1"))).await.expect("they take it");
        net.set_all(|switches| switches.door = Door::Rejecting);
        net.cut_all();
        let (begun, dials) = (Instant::now(), net.dials());
        for _ in 0..50 {
            let asked = Instant::now();
            let error =
                soon("send", producer.send(Record::to(TOPIC).value("2"))).await.expect_err("the broker refuses it");
            assert_eq!((error.kind(), error.is_written()), (Kind::Authentication, Some(Written::No)), "{error}");
            let created = soon("create", client.admin().create_topics([NewTopic::new("new")])).await;
            assert_eq!(created.expect_err("the broker refuses it").kind(), Kind::Authentication);
            assert!(asked.elapsed() < Duration::from_millis(50), "waited {:?}", asked.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Three brokers, two connections each, one attempt a second.
        let bound = 6 * (begun.elapsed().as_secs() + 1);
        assert!(net.dials() - dials <= bound, "dialled {} times", net.dials() - dials);
        net.set_all(|switches| switches.door = Door::Open);
        tokio::time::sleep(Duration::from_secs(2)).await;
        soon("send", producer.send(Record::to(TOPIC).value("3"))).await.expect("the credentials were corrected");
    });
}
