//! Push notification configs (A2A 1.0 §3.1.7 to §3.1.10). Agents never see them: the gateway delivers.

use std::sync::Arc;

use moongate_core::{Code, Problem};
use moongate_flow::pipeline::Order;
use serde_json::{Value, json};

use super::Whole;
use crate::gateway::A2aGateway;
use crate::supply;
use crate::tasks::push::{LIMIT, PushConfig, render, render_all};
use crate::tasks::{Owned, Row};

fn row_of(gateway: &A2aGateway, order: &Order<A2aGateway>) -> Result<Arc<Row>, Problem> {
    let id = order.envelope.head.task.as_ref();
    let id =
        id.ok_or_else(|| Problem::new(Code::InvalidParams, "the request names no task").field("taskId", "is missing"))?;
    match gateway.tasks.owned(&order.principal, id.as_str()) {
        Owned::Yes(row) => Ok(row),
        Owned::No | Owned::Unknown => Err(Problem::new(Code::TaskNotFound, format!("there is no task {id}"))),
    }
}

fn config_id(params: &Value) -> Result<&str, Problem> {
    params.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).ok_or_else(|| {
        Problem::new(Code::InvalidParams, "the request names no push notification config").field("id", "is missing")
    })
}

/// Makes a config and begins to deliver.
pub(super) fn create(gateway: &Arc<A2aGateway>, order: &Order<A2aGateway>) -> Result<Whole, Problem> {
    let row = row_of(gateway, order)?;
    let version = order.call.dialect.version;
    let config = PushConfig::read(order.call.value()?, row.id.as_str(), version, &*gateway.courier.egress)?;
    let config = Arc::new(config);
    let answer = Whole::own(&render(&config));
    if let Some(old) = row.configs().iter().find(|held| held.id == config.id) {
        old.stop();
    }
    if !row.add_config(config.clone(), LIMIT) {
        return Err(Problem::new(
            Code::InvalidParams,
            format!("a task takes at most {LIMIT} push notification configs"),
        )
        .field("taskId", "has too many configs already"));
    }
    gateway.courier.start(&row, config, false);
    supply::watch(gateway, &row);
    Ok(answer)
}

/// One config.
pub(super) fn read(gateway: &A2aGateway, order: &Order<A2aGateway>) -> Result<Whole, Problem> {
    let row = row_of(gateway, order)?;
    let params = order.call.value()?;
    // The older dialect may ask without an id: it means the newest.
    let asked = params.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let configs = row.configs();
    let found = match asked {
        Some(id) => configs.iter().find(|config| config.id == id),
        None => configs.last(),
    };
    match found {
        Some(config) => Ok(Whole::own(&render(config))),
        None => Err(Problem::new(
            Code::PushConfigNotFound,
            format!("the task {} has no push notification config {}", row.id, asked.unwrap_or("at all")),
        )),
    }
}

/// All configs of the task.
pub(super) fn list(gateway: &A2aGateway, order: &Order<A2aGateway>) -> Result<Whole, Problem> {
    Ok(Whole::own(&render_all(&row_of(gateway, order)?.configs())))
}

/// Ends a config; idempotent.
pub(super) fn delete(gateway: &A2aGateway, order: &Order<A2aGateway>) -> Result<Whole, Problem> {
    let row = row_of(gateway, order)?;
    let params = order.call.value()?;
    row.remove_config(config_id(&params)?);
    Ok(Whole::own(&json!({})))
}
