//! GetExtendedAgentCard (A2A 1.0 §3.1.11).

use std::sync::Arc;

use moongate_core::{Code, Problem};
use moongate_flow::pipeline::Order;
use moongate_wire::a2a::card;

use super::{Attempt, Whole};
use crate::gateway::{A2aGateway, Pick};
use crate::routing::directory::{Agent, Visibility};
use crate::routing::discovery;
use crate::routing::registry::signature;
use crate::translation::Outgoing;

/// The card with what only identified callers see.
pub(super) async fn extended(gateway: &Arc<A2aGateway>, order: Order<A2aGateway>) -> Result<Whole, Problem> {
    let address = gateway.address(order.envelope.arrival.listener);
    match &order.picked {
        Pick::Here | Pick::Queue(_) => {
            let directory = gateway.directory.load();
            let any = directory.agents.values().any(|agent| agent.settings.visibility == Visibility::Extended);
            if !any {
                return Err(undeclared());
            }
            let domain = gateway.settings.load().domain.clone();
            let document = discovery::aggregate(&directory, &domain, &address, true);
            Ok(Whole::own(&discovery::sealed(document, &address, &*gateway.notary)))
        }
        Pick::Agent(chosen) => {
            if !chosen.endpoint.card.extended {
                return Err(undeclared());
            }
            let agent = chosen.agent.clone();
            let mut attempt = Attempt::new(order)?;
            let outgoing = Outgoing::same(moongate_core::Operation::ExtendedCard);
            let result = attempt.whole(gateway, &outgoing).await;
            attempt.finish(gateway, result.as_ref().map(|_| ()));
            let canonical = result?.canonical;
            let shown = card::parse(&canonical).map_err(crate::translation::incoming::garbage)?;
            let stated = serde_json::from_slice(&canonical).unwrap_or_default();
            let (wanted, from) = (&agent.settings.signature, agent.settings.card_url.as_deref());
            let judged = signature::judge(&*gateway.notary, wanted, from, &stated, &shown).await;
            judged.map_err(|problem| Problem::new(Code::AgentGarbage, problem.detail.clone()).inside(problem))?;
            let copy = Agent {
                name: agent.name.clone(),
                settings: agent.settings.clone(),
                demands: agent.demands.clone(),
                natures: agent.natures.clone(),
                card: Arc::new(shown),
                endpoints: agent.endpoints.clone(),
                series: agent.series.clone(),
                balancer: crate::routing::balance::Balancer::new(agent.balancer.settings().clone(), Vec::new(), 0),
            };
            Ok(Whole::own(&discovery::sealed(discovery::single(&copy, &address), &address, &*gateway.notary)))
        }
    }
}

fn undeclared() -> Problem {
    Problem::new(Code::NotOffered, "the card declares no extended card")
}
