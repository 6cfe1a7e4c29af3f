//! Ids: positions in the tables of a [`Profile`](crate::model::Profile).
//!
//! Each is a newtype so that a thread can never be looked up with the id of a site.

use serde::Serialize;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);
        impl $name {
            /// Position in its table.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// Position in [`Profile::images`](crate::model::Profile::images).
    ImageId,
    /// Position in [`Profile::components`](crate::model::Profile::components).
    ComponentId,
    /// Position in [`Profile::apis`](crate::model::Profile::apis).
    ApiId,
    /// Position in [`Profile::sites`](crate::model::Profile::sites).
    SiteId,
    /// Position in [`Profile::threads`](crate::model::Profile::threads).
    ThreadId,
    /// Position in [`Profile::groups`](crate::model::Profile::groups).
    GroupId,
    /// Position in [`Profile::call_nodes`](crate::model::Profile::call_nodes).
    NodeId,
    /// Position in [`Profile::slow_calls`](crate::model::Profile::slow_calls).
    SlowCallId,
    /// Position in [`Profile::wait_objects`](crate::model::Profile::wait_objects).
    WaitObjectId,
    /// Position in [`Syscalls::targets`](crate::model::Syscalls::targets).
    SyscallTargetId,
}
