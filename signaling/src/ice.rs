//! `PATCH` with an SDP fragment (RFC 9725, section 4.3): trickle ICE and ICE restarts. Invariant: a fragment acts on the
//! ICE session that its `If-Match` names, or on none.
//!
//! Trickled candidates are taken and not used: the node is ICE-lite and learns the peer's addresses from its checks.

use crate::{
    Signaling, body,
    connections::{Resource, entity_tag},
    failure::Failure,
    sdpfrag::{self, Fragment},
};
use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cluster::{Amendment, ConnectionRecord, IceSession};

/// `If-Match` (RFC 9110, section 13.1.1).
enum Match {
    /// `*`: whatever the ICE session is, which asks for a restart.
    Any,
    /// Strong entity tags, unquoted.
    Tags(Vec<String>),
}

impl Signaling {
    /// Answers a fragment: 204 to candidates, 200 with the node's new credentials to a restart.
    pub(crate) async fn patch_ice(
        &self,
        resource: Resource,
        record: &ConnectionRecord,
        request: Request,
    ) -> Result<Response, Failure> {
        let condition = if_match(request.headers())?;
        let body = body::fragment(request).await?;
        let fragment = Fragment::parse(&body)?;
        let restart = match condition {
            Match::Any => true,
            Match::Tags(tags) => {
                let ice = record.ice.as_ref().filter(|ice| tags.contains(&ice.ours));
                let known = &ice.ok_or(Failure::IfMatch)?.theirs;
                // New credentials are a restart, whatever the condition says (RFC 9725, section 4.3.3).
                known.as_deref().is_some_and(|known| known != fragment.ufrag)
            }
        };
        if restart {
            self.restart(resource, record, fragment.ufrag).await
        } else {
            Ok(StatusCode::NO_CONTENT.into_response())
        }
    }

    async fn restart(&self, resource: Resource, record: &ConnectionRecord, theirs: &str) -> Result<Response, Failure> {
        let connection = record.connection;
        let node = self.holder(resource, record).await?;
        let call = self.0.nodes.restart(&node, connection);
        let answered = self.at_node(resource, connection, call).await?.fragment;
        let ours = Fragment::parse(answered.as_bytes()).map_err(|_| Failure::Answer)?.ufrag.to_owned();
        let tag = entity_tag(&ours);
        let ice = IceSession { ours, theirs: Some(theirs.to_owned()) };
        self.0.directory.amend_connection(connection, Amendment::Ice(ice)).await?;
        tracing::info!(%connection, "ICE restart");
        let kind = HeaderValue::from_static(sdpfrag::MEDIA_TYPE);
        Ok((StatusCode::OK, [(header::CONTENT_TYPE, kind), (header::ETAG, tag)], answered).into_response())
    }
}

fn if_match(headers: &HeaderMap) -> Result<Match, Failure> {
    let mut lines = headers.get_all(header::IF_MATCH).iter().peekable();
    if lines.peek().is_none() {
        return Err(Failure::NoIfMatch);
    }
    let lines: Option<Vec<&str>> = lines.map(|v| v.to_str().ok().map(str::trim)).collect();
    let text = lines.ok_or(Failure::IfMatchMalformed)?.join(",");
    // Quoted as well, as the example in RFC 9725, section 4.3.3 has it; no tag of ours has that character.
    if text == "*" || text == "\"*\"" {
        return Ok(Match::Any);
    }
    entity_tags(&text).map(Match::Tags).ok_or(Failure::IfMatchMalformed)
}

/// The strong tags of a list. Weak ones are read and left out: they never match here (RFC 9110, section 13.1.1).
fn entity_tags(mut rest: &str) -> Option<Vec<String>> {
    let mut tags = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(tags);
        }
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        let (tag, after) = quoted.strip_prefix('"')?.split_once('"')?;
        if !tag.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        if !weak {
            tags.push(tag.to_owned());
        }
        rest = after.trim_start_matches([' ', '\t']);
        if !(rest.is_empty() || rest.starts_with(',')) {
            return None;
        }
    }
}
