//! Entries of access control, quotas and SCRAM users.

use bytes::Bytes;
use kafka_protocol::messages::AlterClientQuotasRequest;
use kafka_protocol::messages::AlterUserScramCredentialsRequest;
use kafka_protocol::messages::CreateAclsRequest;
use kafka_protocol::messages::DeleteAclsRequest;
use kafka_protocol::messages::DescribeAclsRequest;
use kafka_protocol::messages::DescribeClientQuotasRequest;
use kafka_protocol::messages::DescribeUserScramCredentialsRequest;
use kafka_protocol::messages::alter_client_quotas_request as altered;
use kafka_protocol::messages::alter_user_scram_credentials_request as scram;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::protocol::StrBytes;
use ottla::mock::key;
use protocol_tests::rig;

use super::compare;
use super::peer::Peer;
use super::text;
use super::versions;
use super::wording;

/// Resource type, name, pattern, principal, operation, permission. The numbers are Kafka's.
type Rule<'a> = (i8, &'a str, i8, &'a str, i8, i8);

/// As a [`Rule`], where `None` matches all.
type Filter<'a> = (i8, Option<&'a str>, i8, Option<&'a str>, i8, i8);

#[test]
fn access_control_is_administered_as_by_kafka() {
    let prefix = rig::fresh("conf-acl");
    let user = format!("User:{prefix}");
    compare(|peer| {
        for version in versions(key::CREATE_ACLS) {
            create(peer, version, &prefix, &user);
            describe(peer, version, &prefix, &user);
            delete(peer, version, &prefix, &user);
        }
    });
}

fn create(peer: &mut Peer, version: i16, prefix: &str, user: &str) {
    let long = format!("{prefix}-long");
    let mut cases: Vec<(&str, Vec<Rule<'_>>)> = vec![
        ("good ones", vec![(2, prefix, 3, user, 3, 3), (2, &long, 3, user, 4, 2), (2, prefix, 4, user, 3, 3)]),
        ("one that exists", vec![(2, prefix, 3, user, 3, 3)]),
        ("a group, and the cluster", vec![(3, prefix, 4, user, 3, 3), (4, "kafka-cluster", 3, user, 8, 3)]),
        ("a cluster of another name", vec![(4, "other", 3, user, 8, 3)]),
        ("no name", vec![(2, "", 3, user, 3, 3)]),
        ("one good, one bad", vec![(2, "", 3, user, 3, 3), (5, prefix, 3, user, 4, 3)]),
        ("every resource", vec![(2, "*", 3, user, 2, 3)]),
        ("none", Vec::new()),
    ];
    // A number that says nothing ends the connection.
    cases.push(("no resource type", vec![(0, prefix, 3, user, 3, 3)]));
    for (what, rules) in cases {
        let rule = |(kind, name, pattern, principal, operation, permission): Rule<'_>| {
            AclCreation::default()
                .with_resource_type(kind)
                .with_resource_name(text(name))
                .with_resource_pattern_type(pattern)
                .with_principal(text(principal))
                .with_host(text("*"))
                .with_operation(operation)
                .with_permission_type(permission)
        };
        let request = CreateAclsRequest::default().with_creations(rules.into_iter().map(rule).collect());
        let response = peer.send(version, &request).map(|mut response| {
            response.throttle_time_ms = 0;
            response.results.iter_mut().for_each(|result| wording(&mut result.error_message));
            response
        });
        peer.record(format!("create acls: {what}: version {version}"), response);
    }
}

fn describe(peer: &mut Peer, version: i16, prefix: &str, user: &str) {
    let longer = format!("{prefix}-long");
    let by = Some(user);
    // The broker's authorizer follows its controller a moment later.
    let all = filter((1, None, 1, by, 1, 1));
    while peer.send(version, &all).expect("a response").resources.iter().map(|one| one.acls.len()).sum::<usize>() < 7 {
        std::thread::yield_now();
    }
    let cases: Vec<(&str, Filter<'_>)> = vec![
        ("all of a user", (1, None, 1, by, 1, 1)),
        ("literal", (2, Some(prefix), 3, by, 1, 1)),
        ("prefixed", (2, Some(prefix), 4, by, 1, 1)),
        ("any pattern", (2, Some(prefix), 1, by, 1, 1)),
        ("those that apply", (2, Some(&longer), 2, by, 1, 1)),
        ("one operation", (1, None, 1, by, 3, 1)),
        ("denied", (1, None, 1, by, 1, 2)),
        ("another type", (6, None, 1, by, 1, 1)),
        ("nobody", (1, None, 1, Some("User:conf-nobody"), 1, 1)),
        ("numbers that are none", (99, None, 1, by, 1, 1)),
        ("patterns that are none", (2, None, 99, by, 1, 1)),
        ("no number", (0, None, 1, by, 1, 1)),
    ];
    for (what, asked) in cases {
        let response = peer.send(version, &filter(asked)).map(|mut response| {
            response.throttle_time_ms = 0;
            wording(&mut response.error_message);
            for resource in &mut response.resources {
                resource.acls.sort_by_key(|one| (one.operation, one.permission_type, one.principal.clone()));
            }
            response.resources.sort_by_key(|one| (one.resource_type, one.resource_name.clone(), one.pattern_type));
            response
        });
        peer.record(format!("describe acls: {what}: version {version}"), response);
    }
}

fn filter((kind, name, pattern, principal, operation, permission): Filter<'_>) -> DescribeAclsRequest {
    DescribeAclsRequest::default()
        .with_resource_type_filter(kind)
        .with_resource_name_filter(name.map(text))
        .with_pattern_type_filter(pattern)
        .with_principal_filter(principal.map(text))
        .with_host_filter(None)
        .with_operation(operation)
        .with_permission_type(permission)
}

fn delete(peer: &mut Peer, version: i16, prefix: &str, user: &str) {
    let by = Some(user);
    let cases: Vec<(&str, Vec<Filter<'_>>)> = vec![
        ("two filters for one entry", vec![(2, Some(prefix), 3, by, 1, 1), (2, Some(prefix), 1, by, 3, 3)]),
        ("it again", vec![(2, Some(prefix), 3, by, 1, 1)]),
        ("a number that is none", vec![(99, None, 1, by, 1, 1), (6, None, 1, by, 1, 1)]),
        ("no number", vec![(1, None, 0, by, 1, 1)]),
        ("all of a user", vec![(1, None, 1, by, 1, 1)]),
        ("none", Vec::new()),
    ];
    for (what, filters) in cases {
        let one = |(kind, name, pattern, principal, operation, permission): Filter<'_>| {
            DeleteAclsFilter::default()
                .with_resource_type_filter(kind)
                .with_resource_name_filter(name.map(text))
                .with_pattern_type_filter(pattern)
                .with_principal_filter(principal.map(text))
                .with_host_filter(None)
                .with_operation(operation)
                .with_permission_type(permission)
        };
        let request = DeleteAclsRequest::default().with_filters(filters.into_iter().map(one).collect());
        let response = peer.send(version, &request).map(|mut response| {
            response.throttle_time_ms = 0;
            for result in &mut response.filter_results {
                wording(&mut result.error_message);
                result.matching_acls.sort_by_key(|one| {
                    (one.resource_type, one.resource_name.clone(), one.pattern_type, one.operation, one.permission_type)
                });
            }
            response
        });
        peer.record(format!("delete acls: {what}: version {version}"), response);
    }
}

#[test]
fn quotas_are_altered_and_matched_as_by_kafka() {
    let user = rig::fresh("conf-quota");
    compare(|peer| {
        for version in versions(key::ALTER_CLIENT_QUOTAS) {
            alter_quotas(peer, version, &user);
            describe_quotas(peer, version, &user);
            let gone = [Some((&*user, None)), Some((&*user, Some("app"))), Some((&*user, Some("")))];
            for (user, client) in gone.into_iter().flatten() {
                let entity = entity(Some(user), client);
                let remove = |key: &str| altered::OpData::default().with_key(text(key)).with_remove(true);
                let entry = altered::EntryData::default().with_entity(entity);
                let entry = entry.with_ops(vec![remove("producer_byte_rate"), remove("request_percentage")]);
                record_alter(peer, format!("alter quotas: removed: version {version}"), version, vec![entry], false);
            }
        }
    });
}

/// A user, and a client id, of which an empty one stands for the default.
fn entity(user: Option<&str>, client: Option<&str>) -> Vec<altered::EntityData> {
    let part = |kind: &str, name: &str| {
        let name = Some(text(name)).filter(|name| !name.is_empty());
        altered::EntityData::default().with_entity_type(text(kind)).with_entity_name(name)
    };
    let parts = [("user", user), ("client-id", client)];
    parts.into_iter().filter_map(|(kind, name)| Some(part(kind, name?))).collect()
}

fn alter_quotas(peer: &mut Peer, version: i16, user: &str) {
    let set = |key: &str, value: f64| altered::OpData::default().with_key(text(key)).with_value(value);
    let of = |entity: Vec<altered::EntityData>, ops: Vec<altered::OpData>| {
        altered::EntryData::default().with_entity(entity).with_ops(ops)
    };
    let named = |kind: &str, name: Option<&str>| {
        vec![altered::EntityData::default().with_entity_type(text(kind)).with_entity_name(name.map(text))]
    };
    let whole = || entity(Some(user), None);
    let both = [named("ip", Some("10.0.0.1")), whole()].concat();
    let cases = [
        ("validated", vec![of(whole(), vec![set("producer_byte_rate", 7.0)])], true),
        ("a user", vec![of(whole(), vec![set("producer_byte_rate", 1_024.0), set("request_percentage", 12.5)])], false),
        ("a client of a user", vec![of(entity(Some(user), Some("app")), vec![set("producer_byte_rate", 5.0)])], false),
        ("any client of a user", vec![of(entity(Some(user), Some("")), vec![set("producer_byte_rate", 6.0)])], false),
        ("an unknown key", vec![of(whole(), vec![set("no_such_rate", 1.0)])], false),
        ("a key of addresses", vec![of(whole(), vec![set("connection_creation_rate", 1.0)])], false),
        ("zero", vec![of(whole(), vec![set("producer_byte_rate", 0.0)])], false),
        ("a fraction", vec![of(whole(), vec![set("producer_byte_rate", 1.5)])], false),
        ("too large", vec![of(named("ip", Some("10.0.0.1")), vec![set("connection_creation_rate", 1e10)])], false),
        ("no entity", vec![of(Vec::new(), vec![set("producer_byte_rate", 1.0)])], false),
        ("a kind that is none", vec![of(named("conf", Some("x")), vec![set("producer_byte_rate", 1.0)])], false),
        ("an empty name", vec![of(named("user", Some("")), vec![set("producer_byte_rate", 1.0)])], false),
        ("an address and a user", vec![of(both, vec![set("connection_creation_rate", 1.0)])], false),
        (
            "an invalid address",
            vec![of(named("ip", Some("not an address")), vec![set("connection_creation_rate", 1.0)])],
            false,
        ),
        ("a key twice", vec![of(whole(), vec![set("request_percentage", 1.0), set("request_percentage", 2.0)])], true),
        (
            "an entity twice",
            vec![of(whole(), vec![set("request_percentage", 3.0)]), of(whole(), vec![set("request_percentage", 4.0)])],
            true,
        ),
        (
            "a key that is not set, removed",
            vec![of(whole(), vec![set("consumer_byte_rate", 0.0).with_remove(true)])],
            false,
        ),
        ("no change", vec![of(whole(), Vec::new())], false),
    ];
    for (what, entries, validate_only) in cases {
        record_alter(peer, format!("alter quotas: {what}: version {version}"), version, entries, validate_only);
    }
}

fn record_alter(peer: &mut Peer, step: String, version: i16, entries: Vec<altered::EntryData>, validate_only: bool) {
    let request = AlterClientQuotasRequest::default().with_entries(entries).with_validate_only(validate_only);
    let response = peer.send(version, &request).map(|mut response| {
        response.throttle_time_ms = 0;
        for entry in &mut response.entries {
            wording(&mut entry.error_message);
            entry.entity.sort_by(|one, other| one.entity_type.cmp(&other.entity_type));
        }
        response
    });
    peer.record(step, response);
}

fn describe_quotas(peer: &mut Peer, version: i16, user: &str) {
    let component = |kind: &str, match_type: i8, name: Option<&str>| {
        let component = ComponentData::default().with_entity_type(text(kind)).with_match_type(match_type);
        component.with_match(name.map(text))
    };
    let of_user = component("user", 0, Some(user));
    // The broker follows its controller a moment later.
    let all = DescribeClientQuotasRequest::default().with_components(vec![of_user.clone()]);
    while peer.send(version, &all).expect("a response").entries.map_or(0, |entries| entries.len()) < 3 {
        std::thread::yield_now();
    }
    let cases = [
        ("a user", vec![of_user.clone()], false),
        ("a user alone", vec![of_user.clone()], true),
        ("a client of a user", vec![of_user.clone(), component("client-id", 0, Some("app"))], true),
        ("any client of a user", vec![of_user.clone(), component("client-id", 2, None)], false),
        ("the default client of a user", vec![of_user.clone(), component("client-id", 1, None)], false),
        ("a kind that is none", vec![component("conf", 0, Some("x"))], false),
        ("an empty kind", vec![component("", 0, Some("x"))], false),
        ("a kind twice", vec![of_user.clone(), of_user.clone()], false),
        ("an exact match without a name", vec![component("user", 0, None)], false),
        ("a default with a name", vec![component("user", 1, Some(user))], false),
        ("any with a name", vec![component("user", 2, Some(user))], false),
        ("a match that is none", vec![component("user", 9, None)], false),
        ("an address and a user", vec![of_user, component("ip", 2, None)], false),
    ];
    for (what, components, strict) in cases {
        let request = DescribeClientQuotasRequest::default().with_components(components).with_strict(strict);
        let response = peer.send(version, &request).map(|mut response| {
            response.throttle_time_ms = 0;
            wording(&mut response.error_message);
            for entry in response.entries.iter_mut().flatten() {
                entry.entity.sort_by(|one, other| one.entity_type.cmp(&other.entity_type));
                entry.values.sort_by(|one, other| one.key.cmp(&other.key));
            }
            let name = |entry: &kafka_protocol::messages::describe_client_quotas_response::EntryData| {
                entry.entity.iter().map(|part| part.entity_name.clone()).collect::<Vec<_>>()
            };
            response.entries.iter_mut().for_each(|entries| entries.sort_by_key(name));
            response
        });
        peer.record(format!("describe quotas: {what}: version {version}"), response);
    }
}

#[test]
fn scram_users_are_administered_as_by_kafka() {
    let user = rig::fresh("conf-scram");
    compare(|peer| {
        let set = |user: &str, mechanism: i8, iterations: i32| {
            scram::ScramCredentialUpsertion::default()
                .with_name(text(user))
                .with_mechanism(mechanism)
                .with_iterations(iterations)
                .with_salt(Bytes::from_static(&[7; 24]))
                .with_salted_password(Bytes::from_static(&[9; 32]))
        };
        let gone = |user: &str, mechanism: i8| {
            scram::ScramCredentialDeletion::default().with_name(text(user)).with_mechanism(mechanism)
        };
        let other = format!("{user}-other");
        let cases = [
            ("a deletion of nothing", vec![gone(&user, 1)], Vec::new()),
            ("two users", Vec::new(), vec![set(&user, 1, 4_096), set(&other, 2, 16_384)]),
            ("another mechanism", Vec::new(), vec![set(&user, 2, 8_192)]),
            ("too few iterations", Vec::new(), vec![set(&user, 1, 4_095)]),
            ("too many iterations", Vec::new(), vec![set(&user, 1, 16_385)]),
            ("an unknown mechanism", Vec::new(), vec![set(&user, 9, 4_096)]),
            ("no name", Vec::new(), vec![set("", 1, 4_096)]),
            ("a user twice", Vec::new(), vec![set(&user, 1, 4_096), set(&user, 2, 4_096)]),
            ("a user twice, deleted and set", vec![gone(&user, 1)], vec![set(&user, 1, 4_096)]),
            ("an unknown mechanism, deleted", vec![gone(&user, 9)], Vec::new()),
            ("nothing", Vec::new(), Vec::new()),
        ];
        for (what, deletions, upsertions) in cases {
            record_scram(peer, what, deletions, upsertions);
        }
        describe_scram(peer, &user, &other);
        record_scram(peer, "deleted", vec![gone(&user, 1), gone(&other, 2)], Vec::new());
        record_scram(peer, "deleted too", vec![gone(&user, 2)], Vec::new());
    });
}

/// Records what is known of two users, of which one has credentials of both mechanisms.
fn describe_scram(peer: &mut Peer, user: &str, other: &str) {
    let describe = |users: Option<Vec<&str>>| {
        let user = |name: &str| UserName::default().with_name(text(name));
        DescribeUserScramCredentialsRequest::default()
            .with_users(users.map(|users| users.into_iter().map(user).collect()))
    };
    // The broker follows its controller a moment later.
    let first = describe(Some(vec![user, other]));
    let known = |peer: &mut Peer| {
        let response = peer.send(0, &first).expect("a response");
        response.results.iter().map(|result| result.credential_infos.len()).sum::<usize>()
    };
    while known(peer) < 3 {
        std::thread::yield_now();
    }
    let ours: [StrBytes; 2] = [text(user), text(other)];
    for (what, users) in [
        ("two users", Some(vec![user, other])),
        ("one that is missing", Some(vec![user, "conf-nobody"])),
        ("a user twice", Some(vec![user, user, other])),
        ("all", None),
        ("all, by an empty list", Some(Vec::new())),
    ] {
        let all = users.as_ref().is_none_or(Vec::is_empty);
        let response = peer.send(0, &describe(users)).map(|mut response| {
            response.throttle_time_ms = 0;
            wording(&mut response.error_message);
            response.results.retain(|result| !all || ours.contains(&result.user));
            response.results.sort_by(|one, other| one.user.cmp(&other.user));
            for result in &mut response.results {
                wording(&mut result.error_message);
                result.credential_infos.sort_by_key(|info| info.mechanism);
            }
            response
        });
        peer.record(format!("describe scram users: {what}"), response);
    }
}

fn record_scram(
    peer: &mut Peer,
    what: &str,
    deletions: Vec<scram::ScramCredentialDeletion>,
    upsertions: Vec<scram::ScramCredentialUpsertion>,
) {
    let request = AlterUserScramCredentialsRequest::default().with_deletions(deletions).with_upsertions(upsertions);
    let response = peer.send(0, &request).map(|mut response| {
        response.throttle_time_ms = 0;
        response.results.iter_mut().for_each(|result| wording(&mut result.error_message));
        response.results.sort_by(|one, other| one.user.cmp(&other.user));
        response
    });
    peer.record(format!("alter scram users: {what}"), response);
}
