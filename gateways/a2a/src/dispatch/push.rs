//! Push notification configs (A2A 1.0 §3.1.7 to §3.1.10). Agents never see them: the gateway delivers.

use std::sync::Arc;

use moongate_core::{Code, Problem};
use moongate_flow::pipeline::Order;
use serde_json::{Value, json};

use super::{Whole, task};
use crate::gateway::A2aGateway;
use crate::supply;
use crate::tasks::Row;
use crate::tasks::push::{LIMIT, PushConfig, render, render_all};

fn row_of(gateway: &A2aGateway, order: &Order<A2aGateway>) -> Result<Arc<Row>, Problem> {
    let id = order.envelope.head.task.as_ref();
    let id =
        id.ok_or_else(|| Problem::new(Code::InvalidParams, "the request names no task").field("taskId", "is missing"))?;
    task::row_of(gateway, order).ok_or_else(|| Problem::new(Code::TaskNotFound, format!("there is no task {id}")))
}

fn config_id(params: &Value) -> Result<&str, Problem> {
    params.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).ok_or_else(|| {
        Problem::new(Code::InvalidParams, "the request names no push notification config").field("id", "is missing")
    })
}

/// Makes a config and begins to deliver.
pub(super) async fn create(gateway: &Arc<A2aGateway>, order: &Order<A2aGateway>) -> Result<Whole, Problem> {
    let row = row_of(gateway, order)?;
    let version = order.call.dialect.version;
    let config = PushConfig::read(order.call.value()?, row.id.as_str(), version, &*gateway.courier.egress)?;
    let config = Arc::new(config);
    let answer = Whole::own(&render(&config));
    keep(gateway, &row, config, row.seq()).await?;
    supply::watch(gateway, &row);
    Ok(answer)
}

/// Keeps a config, durably; events behind number `delivered` are delivered by it.
pub(super) async fn keep(
    gateway: &A2aGateway,
    row: &Arc<Row>,
    config: Arc<PushConfig>,
    delivered: u64,
) -> Result<(), Problem> {
    let replaces = row.configs().iter().any(|held| held.id == config.id);
    if !row.add_config(config.clone()) {
        return Err(Problem::new(
            Code::InvalidParams,
            format!("a task takes at most {LIMIT} push notification configs"),
        )
        .field("taskId", "has too many configs already"));
    }
    row.saved().await?;
    gateway.tasks.keep_config(row, &config, delivered, replaces).await
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
pub(super) async fn delete(gateway: &A2aGateway, order: &Order<A2aGateway>) -> Result<Whole, Problem> {
    let row = row_of(gateway, order)?;
    let params = order.call.value()?;
    let id = config_id(&params)?;
    gateway.tasks.store().tasks().remove_config(row.id.clone(), id.to_owned()).await?;
    row.remove_config(id);
    Ok(Whole::own(&json!({})))
}
