//! `ottla cluster`: lists the cluster's brokers and its controller.

use serde_json::json;

use crate::Outcome;
use crate::args::Common;
use crate::connect;
use crate::say;

pub(crate) async fn run(common: &Common) -> Outcome {
    let client = connect::client(&connect::properties(common)?).await?;
    let cluster = client.admin().describe_cluster().await?;
    let controller = |id| cluster.controller == Some(id);
    if !common.json {
        say(format_args!("cluster {}", cluster.id.as_deref().unwrap_or("without an id")))?;
    }
    for broker in &cluster.brokers {
        let (id, is_controller) = (broker.id, controller(broker.id));
        if common.json {
            say(json!({
                "cluster": cluster.id, "broker": id, "host": broker.host, "port": broker.port, "rack": broker.rack,
                "controller": is_controller,
            }))?;
        } else {
            let rack = broker.rack.as_ref().map_or(String::new(), |rack| format!(" rack {rack}"));
            let role = if is_controller { " controller" } else { "" };
            say(format_args!("broker {id} {}:{}{rack}{role}", broker.host, broker.port))?;
        }
    }
    Ok(())
}
