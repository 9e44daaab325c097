"""Pictures: each function draws on the Axes given or on new ones, and returns them.

None shows or writes anything. matplotlib is imported when the first picture is drawn.
"""

from scalefit.plot.loss_surface import surface as surface
from scalefit.plot.projected_error import projected as projected
