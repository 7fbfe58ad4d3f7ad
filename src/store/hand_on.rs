//! Stores around another one: what they do not do themselves they hand on.

/// Methods of [`LogStore`](crate::store::LogStore) that another store answers, inside an `impl` of it:
/// `hand_on!(self to self.inner; head, follow, close);`
#[macro_export]
macro_rules! hand_on {
    (@append $self:ident $to:expr) => {
        fn append(
            &$self,
            group: Vec<$crate::store::Append>,
            now: ::postbook_schemas::Instant,
        ) -> $crate::store::Asked<'_, Vec<$crate::store::Appended>> {
            $to.append(group, now)
        }
    };
    (@head $self:ident $to:expr) => {
        fn head(&$self) -> u64 {
            $to.head()
        }
    };
    (@follow $self:ident $to:expr) => {
        fn follow(&$self) -> $crate::store::Head {
            $to.follow()
        }
    };
    (@read $self:ident $to:expr) => {
        fn read(
            &$self,
            from: u64,
            to: u64,
            filter: $crate::store::Filter,
            bytes_max: usize,
        ) -> $crate::store::Asked<'_, $crate::store::Page> {
            $to.read(from, to, filter, bytes_max)
        }
    };
    (@read_one $self:ident $to:expr) => {
        fn read_one(&$self, position: u64) -> $crate::store::Asked<'_, Option<Vec<u8>>> {
            $to.read_one(position)
        }
    };
    (@find $self:ident $to:expr) => {
        fn find(&$self, key: &str) -> $crate::store::Asked<'_, Option<u64>> {
            $to.find(key)
        }
    };
    (@clicks $self:ident $to:expr) => {
        fn clicks(
            &$self,
            positions: Vec<u64>,
        ) -> $crate::store::Asked<'_, Vec<Option<$crate::store::ClickHead>>> {
            $to.clicks(positions)
        }
    };
    (@root $self:ident $to:expr) => {
        fn root(&$self, size: u64) -> $crate::store::Asked<'_, [u8; 32]> {
            $to.root(size)
        }
    };
    (@check $self:ident $to:expr) => {
        fn check<'a>(
            &'a $self,
            progress: &'a (dyn Fn(u64) + Sync),
        ) -> $crate::store::Asked<'a, ()> {
            $to.check(progress)
        }
    };
    (@is_shared $self:ident $to:expr) => {
        fn is_shared(&$self) -> bool {
            $to.is_shared()
        }
    };
    (@look $self:ident $to:expr) => {
        fn look(&$self) -> $crate::store::Asked<'_, ()> {
            $to.look()
        }
    };
    (@close $self:ident $to:expr) => {
        fn close(&$self) -> ::futures_util::future::BoxFuture<'_, ()> {
            $to.close()
        }
    };
    ($self:ident to $to:expr; $($method:ident),+ $(,)?) => {
        $($crate::hand_on!(@$method $self $to);)+
    };
}
