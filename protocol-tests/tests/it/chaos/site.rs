//! The clusters that chaos disturbs: their containers, their addresses, and how a client is let in.

use ottla::Client;
use ottla::client::ClientBuilder;
use ottla::sasl::Sasl;
use ottla::tls::Tls;
use protocol_tests::proxy::Proxy;
use protocol_tests::rig;
use protocol_tests::rig::secure;

/// A cluster of three nodes.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// The name of its services without the number of the node.
    service: &'static str,
    /// The ports that the load uses, by node.
    ports: [u16; 3],
    security: Option<(Tls, Sasl)>,
}

impl Site {
    /// Without TLS and SASL.
    pub(super) fn plain() -> Self {
        Self { service: "trio", ports: rig::TRIO, security: None }
    }

    /// SCRAM over TLS; sessions end every 2 s.
    pub(super) fn secured() -> Self {
        let ports = secure::TRIO.map(|first| first + secure::REAUTH_2_TLS);
        Self { service: "securetrio", ports, security: Some((secure::tls(), secure::alice())) }
    }

    /// The name of a node's container.
    pub(super) fn container(&self, node: i32) -> String {
        format!("ottla_{}{node}_1", self.service)
    }

    pub(super) fn port(&self, node: i32) -> u16 {
        self.ports[usize::try_from(node - 1).expect("nodes are counted from one")]
    }

    /// A client that is let in.
    pub(super) fn builder(&self) -> ClientBuilder {
        let host = if self.security.is_some() { "localhost" } else { "127.0.0.1" };
        let builder = Client::builder(self.ports.map(|port| format!("{host}:{port}"))).expect("addresses");
        match &self.security {
            Some((tls, sasl)) => builder.tls(tls.clone()).sasl(sasl.clone()),
            None => builder,
        }
    }

    pub(super) async fn connect(&self) -> Client {
        self.builder().connect().await.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// A proxy before each node.
    pub(super) async fn proxies(&self) -> Vec<Proxy> {
        let mut proxies = Vec::new();
        for port in self.ports {
            proxies.push(Proxy::start(rig::address(port).parse().expect("an address")).await.expect("a port"));
        }
        proxies
    }

    /// Whether a proxy can tell requests from one another.
    pub(super) fn shows_requests(&self) -> bool {
        self.security.is_none()
    }

    /// Every record of a topic, as librdkafka reads it. It shows a certificate, because Debian's cannot log in by SCRAM.
    pub(super) fn records_by_kcat(&self, topic: &str) -> Vec<(i32, i64, String)> {
        if self.security.is_none() {
            return rig::kcat_records(self.ports[0], topic);
        }
        secure::records_by_kcat(&secure::trio(secure::MTLS)[0], topic)
    }
}
