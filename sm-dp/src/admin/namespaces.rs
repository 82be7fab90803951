//! /admin/v1/namespaces: the clean-up of a job.

use std::sync::Arc;

use rsp_server::{Namespace, api::Arguments};

use super::{Context, Problem, stock::profile_without_order};
use crate::records::{NOTIFICATIONS, OUTBOX, Outgoing, PROFILES, SESSIONS};

/// DELETE /admin/v1/namespaces/{namespace}
///
/// Deletes everything in one transaction. Deletions of events at SM-DSs stay in the outbox until they
/// are delivered.
pub(super) async fn remove(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<Namespace>,
) -> Result<(), Problem> {
    let namespace = &arguments.id;
    context.decision.namespace = namespace.clone();
    let tx = &mut *context.decision.tx;
    for (key, message) in tx.peek_list(&OUTBOX, "").await? {
        if message.namespace == *namespace && !matches!(message.call, Outgoing::DeleteEvent(_)) {
            tx.delete(&OUTBOX, &key);
        }
    }
    for (key, notification) in tx.peek_list(&NOTIFICATIONS, "").await? {
        if notification.namespace == *namespace {
            tx.delete(&NOTIFICATIONS, &key);
        }
    }
    for (key, session) in tx.peek_list(&SESSIONS, "").await? {
        if session.namespace() == *namespace {
            tx.delete(&SESSIONS, &key);
        }
    }
    for (_, profile) in tx.peek_list(&PROFILES, "").await? {
        if profile.namespace == *namespace {
            let profile = profile_without_order(context, profile.iccid).await?;
            profile.discard(context.decision.tx).await?;
        }
    }
    let (log, namespace) = (Arc::clone(context.log), namespace.clone());
    context.decision.tx.after_commit(move || log.forget(&namespace));
    Ok(())
}
