//! The OpenLedger node: serves models, keeps records, settles them on chain.
