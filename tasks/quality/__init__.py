"""What may be accepted: is a provider's answer good (`judge`), and the file that is delivered (`deliver`). Pure CPU, no I/O."""

from tasks.quality.deliver import deliver
from tasks.quality.judge import judge
from tasks.quality.values import Composed, Refusal, Verdict

__all__ = ["Composed", "Refusal", "Verdict", "deliver", "judge"]
