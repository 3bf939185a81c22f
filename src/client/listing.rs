//! Topics that no name leads to: all topics of the cluster, and topics by their ids.

use std::collections::BTreeSet;
use std::time::Instant;

use super::cluster::Cluster;
use super::topics::AutoCreate;
use crate::error::Error;
use crate::group::matching::Listed;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::types::inserted;
use crate::wire::message::MetadataRequest;
use crate::wire::message::MetadataResponse;

impl Cluster {
    /// Lists all topics that the client may see, by one request. The metadata stays as it is.
    pub(crate) async fn list_topics(&self, deadline: Instant) -> Result<Vec<Listed>, Error> {
        let listed = self.call_any_once(&MetadataRequest::default(), deadline).await?;
        let topics = checked(listed)?.topics.into_iter();
        let topics = topics.filter(|topic| topic.error.is_none() && TopicName::problem(&topic.name).is_none());
        let topics = topics.map(|topic| Listed {
            name: TopicName::from(&*topic.name),
            is_internal: topic.internal,
            partitions: topic.partitions.len(),
        });
        Ok(topics.collect())
    }

    /// Adds the topics of these ids to the metadata, by one request. Those that no broker knows are left out.
    pub(crate) async fn find_topics(&self, ids: Vec<TopicId>, deadline: Instant) -> Result<(), Error> {
        let request = MetadataRequest { ids: ids.clone(), ..MetadataRequest::default() };
        let mut response = checked(self.call_any_once(&request, deadline).await?)?;
        response.topics.retain(|topic| topic.error.is_none() && ids.contains(&topic.id));
        let names: BTreeSet<TopicName> = inserted(response.topics.iter().map(|topic| TopicName::from(&*topic.name)));
        // They are forgotten again unless somebody holds them.
        self.track(&names.iter().cloned().collect::<Vec<_>>(), AutoCreate::Forbid);
        self.edit(|cache| {
            cache.handle_response_for(&names, response);
            true
        });
        Ok(())
    }
}

fn checked(response: MetadataResponse) -> Result<MetadataResponse, Error> {
    match response.error {
        Some(code) => Err(Error::broker(code, "could not list topics")),
        None => Ok(response),
    }
}
