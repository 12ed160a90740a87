//! What belongs to others, and what one may not do.

use super::{Harness, Subject, Verdict, expect, expect_equal, failed};
use crate::provider::Preview;
use crate::resource::Owner;
use crate::{ErrorKind, Retry};

pub(super) async fn foreign_objects_are_never_touched(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        subject.stand(&sample.needs).await.map_err(failed("what it needs"))?;
        harness.plant(&sample.resource).await.map_err(failed("plant"))?;
        let found = match subject.preview(&sample.resource).await.map_err(failed("preview"))? {
            Preview::Change { found: Some(found), .. } => Some(*found),
            _ => subject.live(&sample.resource).await.map_err(failed("observe"))?,
        };
        let Some(found) = found else {
            return Err(format!("{}: neither observe nor preview shows it", sample.resource.id));
        };
        expect(matches!(found.owner, Owner::Other(_) | Owner::Nobody), || {
            format!("{}: taken for {:?}", found.id, found.owner)
        })?;
        match subject.create(&sample.resource, "one").await {
            Ok(_) => return Err(format!("{}: created over somebody's object", found.id)),
            Err(why) => expect_equal("kind of the refusal", &why.kind(), &ErrorKind::Foreign)?,
        }
        let stolen = crate::resource::Live {
            owner: Owner::ThisSet,
            ..found
        };
        expect(subject.delete(&stolen).await.is_err(), || {
            format!("{}: deleted though it is somebody's", stolen.id)
        })?;
    }
    Ok(())
}

pub(super) async fn unreadable_is_not_absent(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        subject.stand(&sample.needs).await.map_err(failed("what it needs"))?;
        subject
            .stand(std::slice::from_ref(&sample.resource))
            .await
            .map_err(failed("create"))?;
        let kind = sample.resource.id.kind();
        let blind = harness
            .without_reading(kind)
            .await
            .map_err(failed("client without a right"))?;
        let seen = blind
            .observe(&subject.set, std::slice::from_ref(&sample.resource))
            .await;
        match seen {
            Err(why) => expect_equal("kind of the error", &why.kind(), &ErrorKind::Forbidden)?,
            Ok(seen) => {
                let told = seen.unreadable.iter().find(|(unreadable, _)| unreadable == kind);
                let told = told.map(|(_, why)| why.kind());
                expect_equal("what is said of the kind", &told, &Some(ErrorKind::Forbidden))?;
            }
        }
        harness.provider().await.map_err(failed("all rights again"))?;
    }
    Ok(())
}

pub(super) async fn throttled_says_try_later(harness: &dyn Harness, check: &str) -> Verdict {
    let provider = harness.throttled().await.map_err(failed("throttled client"))?;
    match provider.observe(&harness.set(check), &[]).await {
        Ok(_) => Ok(()), // its own transport retried
        Err(why) => {
            expect_equal("kind of the error", &why.kind(), &ErrorKind::Throttled)?;
            expect(matches!(why.retry(), Retry::After(_)), || {
                "it does not say to try again".to_owned()
            })
        }
    }
}
