"""From a grey image to labelled objects: functions on arrays, the engine the only stateful class."""
