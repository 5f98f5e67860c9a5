//! `origo token`: mints a LiveKit token.

use std::time::{SystemTime, UNIX_EPOCH};

use origo_auth::{Claims, Secret, VideoGrant, mint};

use crate::cli::TokenArgs;

/// Prints the token alone, so that a shell can take it.
pub fn run(args: &TokenArgs) -> anyhow::Result<()> {
    anyhow::ensure!(!args.api_secret.is_empty(), "--api-secret is empty: an API key's secret signs the token");
    anyhow::ensure!(!args.api_key.is_empty(), "--api-key is empty: it is the id of the key that signs the token");
    anyhow::ensure!(!args.room.is_empty(), "--room is empty: a token opens one room");
    anyhow::ensure!(!args.identity.is_empty(), "--identity is empty: a token says who joins");
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    println!("{}", mint(&claims(args, now), &Secret::new(&args.api_secret)));
    Ok(())
}

fn claims(args: &TokenArgs, now: u64) -> Claims {
    Claims {
        iss: args.api_key.clone(),
        sub: args.identity.clone(),
        exp: now.saturating_add(args.ttl),
        nbf: now,
        name: args.name.clone(),
        kind: args.kind.clone(),
        metadata: args.metadata.clone(),
        attributes: args.attributes(),
        video: grant(args),
        ..Claims::default()
    }
}

fn grant(args: &TokenArgs) -> VideoGrant {
    VideoGrant {
        room_join: true,
        room: args.room.clone(),
        can_publish: args.no_publish.then_some(false),
        can_subscribe: args.no_subscribe.then_some(false),
        can_publish_data: args.no_publish_data.then_some(false),
        can_publish_sources: args.publish_sources.clone(),
        can_update_own_metadata: args.update_own_metadata.then_some(true),
        hidden: args.hidden,
        recorder: args.recorder,
        agent: args.agent,
        room_create: args.room_create,
        room_list: args.room_list,
        room_record: args.room_record,
        room_admin: args.room_admin,
    }
}
