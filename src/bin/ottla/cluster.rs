//! `ottla cluster`: the cluster's brokers, its controller and the leader of its quorum.

use ottla::admin::BrokerDescription;
use serde_json::json;

use crate::Outcome;
use crate::args::Common;
use crate::connect;
use crate::say;
use crate::table::Table;

pub(crate) async fn run(common: &Common) -> Outcome {
    let admin = connect::client(&connect::properties(common)?).await?.admin();
    let cluster = admin.describe_cluster().await?;
    // Clusters with ZooKeeper have no quorum, and some principals may not see it.
    let leader = admin.describe_quorum().await.ok().and_then(|quorum| quorum.leader);
    let mut table = Table::new(&["BROKER", "HOST", "PORT", "RACK", "ROLE"]);
    let row = |broker: &BrokerDescription, is_fenced: bool| {
        let is_controller = cluster.controller == Some(broker.id);
        let role = if is_controller { "controller" } else { "" };
        let role = if is_fenced { "fenced" } else { role };
        (is_controller, role.to_owned())
    };
    let brokers = cluster.brokers.iter().map(|broker| (broker, false));
    for (broker, is_fenced) in brokers.chain(cluster.fenced.iter().map(|broker| (broker, true))) {
        let (is_controller, role) = row(broker, is_fenced);
        if common.json {
            say(json!({
                "cluster": cluster.id, "broker": broker.id, "host": broker.host, "port": broker.port, "rack": broker.rack,
                "controller": is_controller, "fenced": is_fenced, "quorum_leader": leader,
            }))?;
        }
        let rack = broker.rack.clone().unwrap_or_default();
        table.add([broker.id.to_string(), broker.host.clone(), broker.port.to_string(), rack, role]);
    }
    if common.json {
        return Ok(());
    }
    let quorum = leader.map_or(String::new(), |leader| format!("  quorum leader {leader}"));
    say(format_args!("cluster {}{quorum}", cluster.id.as_deref().unwrap_or("without an id")))?;
    Ok(table.print()?)
}
