"use strict";

startPlot();
follow(table);
table();
startViewer();
startWorst();
