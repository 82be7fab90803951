//! ESipa.HandleNotification: SGP.32 section 5.14.7.

use rsp::{
    sgp32::{PendingNotification, esipa::HandleNotificationRequest},
    status::Status,
};
use rsp_server::Decision;

use super::{Call, provide_eim_package_result};
use crate::{context::Context, notifications};

pub(crate) async fn execute(call: &Call<'_>, request: &HandleNotificationRequest) -> Decision<()> {
    match request {
        HandleNotificationRequest::PendingNotification(notification)
        | HandleNotificationRequest::PendingNotificationV1_0(notification) => {
            call.transact(&**notification, |context, it| Box::pin(forward(context, it))).await?;
            call.eim.wake();
        }
        HandleNotificationRequest::ProvideEimPackageResult(result) => {
            provide_eim_package_result::accept(call, result).await?;
        }
    }
    Ok(())
}

/// Posts a notification to its recipient. Anyone can send one, so only those of known eUICCs are
/// accepted: the eIM would otherwise connect to any host.
async fn forward(context: &mut Context<'_, '_>, notification: &PendingNotification) -> Decision<()> {
    let mut device = notifications::device_of(context, notification).await?.ok_or_else(|| {
        Status::EidAssociation
            .because("the notification is not that of a registered device or an open session")
    })?;
    notifications::accept(context, &mut device, notification).await?.number()?;
    crate::orders::put_device(context, &mut device)?;
    Ok(())
}
