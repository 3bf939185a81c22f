//! Streams that are not plain sockets, and connections that end while nobody uses them.

use std::time::Duration;

use ottla::admin::NewTopic;
use tokio::time::Instant;

use super::net::Net;
use super::run;
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
